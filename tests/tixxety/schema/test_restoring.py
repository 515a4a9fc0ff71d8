"""A dump is restored by what the page for operators says, word for word, and nothing else is missing."""

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.running import ROOT
from tests.tixxety.forked import typed_words
from tests.tixxety.schema.test_migration import sell
from tixxety.embedded.binaries import find_binaries, look_into, system_folders
from tixxety.embedded.server import DATABASE, EmbeddedPostgres
from tixxety.schema.migration import migrate
from tixxety.schema.rights import expect_worker_rights

RIGHTS = """
SELECT c.relname, c.relacl::text, array_agg(a.attacl::text ORDER BY a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace IN ('tixxety'::regnamespace, 'projections'::regnamespace) AND c.relkind IN ('r', 'v')
GROUP BY c.oid ORDER BY c.relname
"""
DEFAULTS = "SELECT defaclobjtype, defaclacl::text FROM pg_default_acl"
MAY_CONNECT = "SELECT datacl::text FROM pg_database WHERE datname = current_database()"


def folder_with_tools() -> Path | None:
    """PostgreSQL's programs with pg_dump among them, which the wheel does not have."""
    found = [folder for folder in system_folders() if (folder / "pg_dump").exists() and look_into(folder) is not None]
    return found[0] if found else None


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedPostgres]:
    """A server with a box office in which tickets were sold."""
    folder = folder_with_tools()
    if folder is None:
        pytest.skip("no pg_dump on this machine")
    monkeypatch.setenv("TIXXETY_PG_BINDIR", str(folder))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    assert find_binaries(None, str(folder))
    server = EmbeddedPostgres(home, durable=False)
    try:
        migrate(server.start())
        asyncio.run(sell(server.url))
        yield server
    finally:
        server.discard()


def as_the_page_says(tixxety: str) -> str:
    """Its script, in which the command line is called by these words."""
    page = (ROOT / "docs" / "operating.md").read_text()
    found = re.search(r"## Restore\n.*?```sh\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1].replace("python3 -m tixxety", tixxety)


def state_of(url: str) -> list[object]:
    with psycopg.connect(url) as connection:
        return [connection.execute(question).fetchall() for question in (RIGHTS, DEFAULTS, MAY_CONNECT)]


def test_what_the_page_says_restores_a_dump(server: EmbeddedPostgres, tmp_path: Path) -> None:
    place = urlsplit(server.url)._replace(query="")
    before = state_of(server.url)
    dump = ["pg_dump", "--format=custom", f"--file={tmp_path / 'tixxety.dump'}", place.geturl()]
    subprocess.run(dump, check=True, timeout=60)
    with psycopg.connect(place._replace(path="/postgres").geturl(), autocommit=True) as superuser:
        superuser.execute(f"DROP DATABASE {DATABASE}".encode())
        for role in ("tixxety_app", "tixxety_worker", "tixxety_analyst"):
            superuser.execute(f"DROP ROLE {role}".encode())
    environment = {"PATH": os.environ["PATH"], "TIXXETY_NO_VENV": "1", "SERVER": place._replace(path="").geturl()}
    with typed_words() as tixxety:
        done = subprocess.run(
            ["bash", "-e", "-c", as_the_page_says(tixxety)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "All is well" in done.stdout
    assert state_of(server.url) == before
    expect_worker_rights(server.url)
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT count(*) FROM tixxety.stored_events").fetchone() == (5,)
