"""The stories that generated clients play call what there is; tests/campaigns/clients plays them."""

import ast
import re
from typing import Any

import pytest

from api.app import ApiConfig, create_app
from tests.api.conftest import JWT_SECRET
from tests.running import ROOT

STORIES = ROOT / "tests/campaigns/clients"
MODULE = re.compile(r"tixxety_client\.api\.(?P<tag>\w+)")
CALL = re.compile(r'\.(GET|POST|PUT|PATCH|DELETE)\("([^"]+)"')


@pytest.fixture(scope="module")
def document() -> Any:
    return create_app(ApiConfig(box_office="postgresql://nowhere", jwt_secret=JWT_SECRET)).openapi()


def snake_case(operation_id: str) -> str:
    return re.sub("([A-Z])", r"_\1", operation_id).lower()


def test_the_story_in_python_imports_operations_by_their_tags(document: Any) -> None:
    tree = ast.parse((STORIES / "python/story.py").read_text())
    imported = {
        (found["tag"], alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (found := MODULE.fullmatch(node.module or ""))
        for alias in node.names
    }
    there = {
        (operation["tags"][0], snake_case(operation["operationId"]))
        for operations in document["paths"].values()
        for operation in operations.values()
    }
    assert len(imported) > 5
    assert imported - there == set()


def test_the_story_in_typescript_asks_for_paths_there_are(document: Any) -> None:
    called = CALL.findall((STORIES / "typescript/story.ts").read_text())
    assert len(called) > 5
    assert [path for method, path in called if method.lower() not in document["paths"].get(path, {})] == []
