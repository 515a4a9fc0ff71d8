"""An example for every body and answer of the OpenAPI document, composed from its fields' examples.

A field's own `examples=[…]` come first, then what its name stands for in every model, then what its type says alone.
"""

import json
from collections.abc import Iterator
from typing import Any

from api.docs.example_values import BY_NAME, SHOWN
from api.http.problems import example_problem

SOME_ID = "019a0000-0000-7000-8000-000000000009"


class NoExample(Exception):
    """Says of which field there is none."""


def add_examples(document: dict[str, Any], root_path: str = "") -> list[str]:
    """Give each body and answer of the document its example; returns a sentence for each that has to be told more.

    Where a route shows some fields (`shown`), the others are composed. Problems are those of the table of their types.
    """
    schemas = document["components"]["schemas"]
    missing = []
    for place, content in _contents(document):
        for code, example in content.get("examples", {}).items():
            example["value"] = example_problem(code, root_path)
        given = content.get("example", {})
        shown = json.loads(given[SHOWN]) if isinstance(given, dict) and SHOWN in given else {}
        if "examples" in content or (given and not shown):
            continue
        try:
            composed = _example_of(schemas, content["schema"], place)
            content["example"] = {**composed, **shown} if shown else composed
        except NoExample as why:
            missing.append(str(why))
    return missing


def _contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is sent and answered, each with what it is called."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                yield f"{name}, body as {media_type}", content
            for status, response in operation["responses"].items():
                for media_type, content in response.get("content", {}).items():
                    yield f"{name}, {status} as {media_type}", content


def _example_of(schemas: dict[str, Any], schema: dict[str, Any], place: str, name: str | None = None) -> Any:
    """An example of this schema; `place` is what a reader of the code calls it. Raises `NoExample`."""
    if "examples" in schema:
        return schema["examples"][0]
    if name in BY_NAME:
        return BY_NAME[name]
    if "$ref" in schema:
        model = schema["$ref"].rpartition("/")[2]
        return _example_of(schemas, schemas[model], model)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "properties" in schema:
        return dict(_fields(schemas, schema, place))
    if "anyOf" in schema:
        return _first_of(schemas, schema["anyOf"], place)
    match schema.get("type"):
        case "array":
            return [_example_of(schemas, schema["items"], place)]
        case "string" if schema.get("format") == "uuid":
            return SOME_ID
        case "boolean":
            return False
        case "null":
            return None
        case "object" if not schema.get("additionalProperties", True):
            return {}
    raise NoExample(
        f"{place} has no example: give it `examples=[…]` where it is declared, or its name one in "
        "api/docs/example_values.py."
    )


def _fields(schemas: dict[str, Any], schema: dict[str, Any], model: str) -> Iterator[tuple[str, Any]]:
    """Each field with its example; one that may be left out is, where there is none."""
    for name, field in schema["properties"].items():
        must_be_there = name in schema.get("required", ())
        try:
            example = _example_of(schemas, field, f"{model}.{name}", name)
        except NoExample:
            if must_be_there:
                raise
        else:
            if must_be_there or example is not None:
                yield name, example


def _first_of(schemas: dict[str, Any], choices: list[dict[str, Any]], place: str) -> Any:
    """The first that has an example: often null, after an instant or a number of which nobody has said anything."""
    for choice in choices[:-1]:
        try:
            return _example_of(schemas, choice, place)
        except NoExample:
            continue
    return _example_of(schemas, choices[-1], place)
