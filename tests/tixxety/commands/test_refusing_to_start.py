"""What all commands that use a database expect of it and of the settings, in one sentence where it is not so."""

import psycopg
import pytest

from eventstore.schema_version import SCHEMA_VERSION
from tests.tixxety.forked import run_command

SECRET = "a secret of thirty-two bytes, yes"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.mark.parametrize("command", ["serve", "worker", "grant"])
def test_a_database_that_was_never_migrated_is_told_so(command: str, empty_database_url: str) -> None:
    arguments = {"grant": ["ann@example.com", "admin"], "serve": ["--port", "0"]}.get(command, [])
    refused = run_command(command, *arguments, DATABASE_URL=empty_database_url, JWT_SECRET=SECRET)
    assert refused.returncode == 2
    assert refused.stderr == "tixxety: The database has no schema yet: run tixxety migrate.\n"


@pytest.mark.parametrize("command", ["serve", "worker", "migrate"])
def test_a_schema_of_another_version_is_told_so(command: str, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE tixxety.schema_version SET version = 999, serves_from = 999")
    refused = run_command(command, DATABASE_URL=database_url, JWT_SECRET=SECRET)
    said = f"tixxety: The schema was made by version 999; this program knows {SCHEMA_VERSION}.\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", said)


@pytest.mark.parametrize("arguments", [["serve"], ["worker"], ["migrate"], ["up", "--port", "0"]])
def test_a_database_that_is_away_is_one_sentence(arguments: list[str]) -> None:
    refused = run_command(*arguments, DATABASE_URL=NOWHERE, JWT_SECRET=SECRET)
    assert refused.returncode == 2
    assert "does not answer" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["serve"], ["up", "--port", "0"]])
def test_with_a_database_a_missing_secret_is_one_sentence(arguments: list[str], database_url: str) -> None:
    refused = run_command(*arguments, DATABASE_URL=database_url)
    assert refused.returncode == 2
    assert refused.stderr.startswith("tixxety: JWT_SECRET is not set")
    assert len(refused.stderr.splitlines()) == 1
