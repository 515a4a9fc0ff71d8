"""The commands one by one, as processes: what they print, what they end with, and never a stack trace."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import psycopg
import pytest

from eventstore.schema_version import SCHEMA_VERSION
from tests.conftest import copy_of
from tests.running import ROOT, free_port, running, until_ready
from tests.tixxety.forked import run_command
from tests.tixxety.waiting_for_processes import all_gone, family, until
from tixxety import __version__

SECRET = "a secret of thirty-two bytes, yes"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@contextmanager
def serve_two(database_url: str, log: Path) -> Iterator[tuple[psutil.Process, str]]:
    """`serve --workers 2`, ready to answer, and its URL."""
    port = free_port()
    command = [sys.executable, "-m", "tixxety", "serve", "--workers", "2", "--port", str(port)]
    environment = {"DATABASE_URL": database_url, "JWT_SECRET": SECRET, "TIXXETY_NO_VENV": "1"}
    with running(command, environment, log) as process:
        until_ready(f"http://127.0.0.1:{port}/health/live", (process, log))
        yield psutil.Process(process.pid), f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def two_processes(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[psutil.Process, str]]:
    """The same for all tests that leave the parent alive."""
    with (
        copy_of(template, server_url) as database_url,
        serve_two(database_url, tmp_path_factory.mktemp("serve") / "serve.log") as served,
    ):
        yield served


def test_version_is_the_packages() -> None:
    variables = {"PATH": os.environ["PATH"], "TIXXETY_NO_VENV": "1"}
    command = [sys.executable, "-m", "tixxety", "--version"]
    assert subprocess.check_output(command, cwd=ROOT, env=variables, text=True) == f"tixxety {__version__}\n"


def test_help_names_every_command() -> None:
    said = run_command("--help").stdout
    commands = {"up", "test", "serve", "worker", "migrate", "grant", "revoke", "replay", "secrets"}
    assert commands <= set(re.findall(r"│ (\w+) ", said))


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


def test_migrate_takes_its_own_login_and_can_run_again(empty_database_url: str) -> None:
    for _ in range(2):
        done = run_command("migrate", DATABASE_URL=NOWHERE, MIGRATE_DATABASE_URL=empty_database_url)
        assert (done.returncode, done.stdout) == (0, "The schema is current.\n")


def test_a_role_that_does_not_exist_and_an_account_that_does_not(database_url: str) -> None:
    unknown_role = run_command("grant", "ann@example.com", "boss", DATABASE_URL=database_url)
    unknown_account = run_command("grant", "ann@example.com", "admin", DATABASE_URL=database_url)
    for refused, words in ((unknown_role, "auditor, analyst"), (unknown_account, "no account")):
        assert refused.returncode == 2
        assert words in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


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


def test_several_processes_answer_on_one_port_and_the_dead_come_back(
    two_processes: tuple[psutil.Process, str],
) -> None:
    parent, url = two_processes
    first = until(lambda: parent.children() if len(parent.children()) == 2 else [])
    first[0].kill()
    until(lambda: len(parent.children()) == 2 and first[0] not in parent.children())
    assert httpx2.get(f"{url}/health/live", timeout=30).status_code == 200


def test_the_server_does_not_name_itself(two_processes: tuple[psutil.Process, str]) -> None:
    _, url = two_processes
    assert "server" not in httpx2.get(f"{url}/health/live").headers


def test_what_is_no_http_gets_a_problem_document(two_processes: tuple[psutil.Process, str]) -> None:
    _, url = two_processes
    with socket.create_connection(("127.0.0.1", httpx2.URL(url).port or 0), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"/problems/malformed-request" in answer


def test_several_processes_end_with_a_parent_that_is_killed(two_processes: tuple[psutil.Process, str]) -> None:
    """The last one that uses them."""
    parent, _ = two_processes
    processes = family(parent.pid)
    assert len(processes) == 3
    parent.kill()
    until(lambda: all_gone(processes))


def test_the_tests_heed_their_own_database_alone(server_url: str, tmp_path: Path) -> None:
    one = "tests/tixxety/test_settings.py::test_nothing_has_to_be_set"
    ours = {"DATABASE_URL": NOWHERE, "TIXXETY_HOME": str(tmp_path / "home"), "JWT_SECRET": "short"}
    passed = run_command("test", "-n0", "-q", "-p", "no:cacheprovider", one, TEST_DATABASE_URL=server_url, **ours)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "1 passed" in passed.stdout
    assert not (tmp_path / "home").exists()


def test_the_tests_bring_a_database_and_take_it_away(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os, psycopg\n"
        "def test_it():\n"
        "    url = os.environ['TEST_DATABASE_URL']\n"
        "    open(os.environ['NOTE'], 'w').write(url)\n"
        "    psycopg.connect(url).close()\n"
    )
    note = tmp_path / "note"
    passed = run_command("test", "-n0", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_it.py"), NOTE=str(note))
    assert passed.returncode == 0, passed.stdout + passed.stderr
    refused = run_command("migrate", DATABASE_URL=note.read_text())
    assert "does not answer" in refused.stderr


def test_a_test_that_fails_fails_the_command(server_url: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    assert not 'right'\n")
    arguments = ["-n0", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_it.py")]
    assert run_command("test", *arguments, TEST_DATABASE_URL=server_url).returncode == 1
