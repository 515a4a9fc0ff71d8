"""The README keeps its word: its script runs as pasted, and its tables name what is there."""

import re
import subprocess
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from api.app import ApiConfig, create_app
from tests.running import ROOT, THE_PATH, free_port, until_ready
from tests.tixxety.forked import running_command
from tixxety.settings import Settings

README = (ROOT / "README.md").read_text()
TEXTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HOLD_SECONDS = 5
ROUTE_ROW = re.compile(r"^\| `(GET|POST|PUT|PATCH|DELETE) (/[^`]*)` \|", re.MULTILINE)
COMMAND_ROW = re.compile(r"^\| `tixxety ([a-z-]+)([^`]*)` \|", re.MULTILINE)
OPTION = re.compile(r"--[a-z][a-z-]*")
VARIABLE_ROW = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:)([^)#]+)[^)]*\)")


def fenced(language: str, containing: str) -> str:
    """The one fenced block of the README in that language with that text in it."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    found = [block for block in blocks if containing in block]
    assert len(found) == 1
    return str(found[0])


def test_the_story_works_when_pasted_twice(database_url: str, tmp_path: Path) -> None:
    story, told = fenced("sh", "/reservations"), fenced("text", "Cleo gets the ticket")
    port, secret = free_port(), "a secret that no other box office has"
    environment = {"DATABASE_URL": database_url, "JWT_SECRET": secret}
    api_log, worker_log = tmp_path / "api.log", tmp_path / "worker.log"
    with (
        running_command(["serve", "--port", str(port)], environment, api_log) as api,
        running_command(["worker"], environment, worker_log) as worker,
    ):
        until_ready(f"http://127.0.0.1:{port}/health/ready", (api, api_log), (worker, worker_log))
        pasted = subprocess.run(
            ["bash"],
            input=story + story,
            env={**THE_PATH, "API": f"http://127.0.0.1:{port}", "HOLD_SECONDS": str(HOLD_SECONDS)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    said = "".join(line for line in pasted.stdout.splitlines(keepends=True) if not line.startswith("{"))
    assert (said, pasted.stderr) == (told.replace("120", str(HOLD_SECONDS)) * 2, "")


def test_the_table_of_routes_is_the_api() -> None:
    app = create_app(ApiConfig(box_office="postgresql://nowhere", jwt_secret="x" * 32))
    served = {(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item}
    assert set(ROUTE_ROW.findall(README)) == served


def test_the_table_of_commands_is_the_command_line() -> None:
    from tixxety.commands import secrets
    from tixxety.commands.all_commands import COMMANDS, load

    options = {
        name: {
            option
            for parameter in load(name).params
            if not getattr(parameter, "hidden", False)
            for option in parameter.opts
        }
        for name in COMMANDS
    }
    options["secrets"] = set(OPTION.findall(secrets.parser().format_usage()))
    # Told once for all of them.
    homeless = {name for name, offered in options.items() if "--home" not in offered}
    assert homeless == {"test", "secrets"}
    wanted = {
        name: {option for option in offered if option.startswith("--")} - {"--home", "--help"}
        for name, offered in options.items()
    }
    assert {name: set(OPTION.findall(rest)) for name, rest in COMMAND_ROW.findall(README)} == wanted


def test_the_table_of_variables_is_what_the_command_line_reads() -> None:
    listed = set(VARIABLE_ROW.findall((ROOT / "docs/operating.md").read_text()))
    source = "".join(path.read_text() for path in (ROOT / "tixxety").rglob("*.py"))
    assert {name.upper() for name in Settings.model_fields} - listed == set()
    assert set(re.findall(r'"(TIXXETY_[A-Z_]+)"', source)) - listed == set()
    assert [name for name in listed if name not in source and name.lower() not in Settings.model_fields] == []


def test_the_queries_for_three_in_the_morning_run(database_url: str) -> None:
    queries = re.findall(r"^```sql\n(SET .*?)^```$", (ROOT / "docs/operating.md").read_text(), re.MULTILINE | re.DOTALL)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for query in re.sub(r"'…[^']*'", f"'{uuid4()}'", "".join(queries)).split(";"):
            connection.execute(query.encode())
        columns = connection.execute("SELECT * FROM history").description
    assert [column.name for column in columns or []] == [
        "position",
        "stream",
        "version",
        "type",
        "recorded_at",
        "state",
    ]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: str(text.relative_to(ROOT)))
def test_links_lead_somewhere(text: Path) -> None:
    assert [link for link in LINK.findall(text.read_text()) if not (text.parent / link).exists()] == []
