"""`tixxety up` as its users meet it: one command, one home, and nothing left when it ends."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import psycopg
import pytest

from eventstore.schema_version import SCHEMA_VERSION
from tests.conftest import new_home
from tests.running import http
from tests.tixxety.forked import Command, run_command
from tests.tixxety.waiting_for_processes import all_gone, family, runs, until
from tixxety.embedded.server import embedded_database

OPEN = "Ctrl-C closes it."
LOGINS = """
SELECT DISTINCT usename::text FROM pg_stat_activity
WHERE datname = 'tixxety' AND usename IS NOT NULL AND pid <> pg_backend_pid() ORDER BY 1
"""
PASSWORD = "correct horse battery"


class BoxOffice:
    """A running `tixxety up`."""

    def __init__(self, process: Command, home: Path, log: Path) -> None:
        self.process, self.home, self.log = process, home, log
        self.url = ""

    def wait_until_open(self) -> None:
        until(lambda: self.process.poll() is not None or OPEN in self.log.read_text(), seconds=90)
        assert self.process.poll() is None, self.log.read_text()
        found = re.search(r"API +(\S+)", self.log.read_text())
        assert found
        self.url = found[1]

    @property
    def note(self) -> dict[str, Any]:
        note: dict[str, Any] = json.loads((self.home / "server.json").read_text())
        return note

    def child(self, words: str) -> psutil.Process | None:
        """The living child whose command line has these words."""
        children = psutil.Process(self.process.pid).children()
        found = [child for child in children if runs(child) and words in " ".join(child.cmdline())]
        return found[0] if found else None

    def is_ready(self) -> bool:
        try:
            return http().get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False


def environment(home: Path) -> dict[str, str]:
    """No variable of ours but the home, so that all is embedded."""
    ours = {"TIXXETY_NO_VENV": "1", "TIXXETY_HOME": str(home), "HOME": str(home.parent)}
    kept = {name: os.environ[name] for name in ("PATH", "TIXXETY_PG_BINDIR") if name in os.environ}
    return kept | ours


def tixxety(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a short command to its end."""
    return run_command(*arguments, **environment(home))


@contextmanager
def up(home: Path, **variables: str) -> Iterator[BoxOffice]:
    """`tixxety up` on a free port, open; killed at the end of the block unless it ended before."""
    log = home.parent / "up.log"
    process = Command(["up", "--port", "0"], environment(home) | variables, log, log)
    office = BoxOffice(process, home, log)
    try:
        office.wait_until_open()
        yield office
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


class Opening:
    """A home's box office, which is opened again where a test has ended it."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.home, self.stack = home, stack
        self.office: BoxOffice | None = None

    def office_that_is_open(self) -> BoxOffice:
        """The one that runs, else another in the same home."""
        if self.office is None or self.office.process.poll() is not None:
            # A variable of libpq, which is meant for another server.
            self.office = self.stack.enter_context(up(self.home, PGSSLMODE="require"))
        return self.office


@pytest.fixture(scope="module")
def opening() -> Iterator[Opening]:
    """One home for all tests."""
    with new_home() as home, ExitStack() as stack:
        yield Opening(home, stack)


@pytest.fixture
def office(opening: Opening) -> BoxOffice:
    """The box office that is open there, for the tests that leave it open."""
    return opening.office_that_is_open()


def kill_worker_that_is_waited_for(office: BoxOffice) -> psutil.Process:
    """The worker that was killed; it is not started again, and that is said."""

    def times_said() -> int:
        return office.log.read_text().count("worker ended; starting it again once the database lets it work")

    before = times_said()
    killed = until(lambda: office.child("tixxety worker"))
    killed.kill()
    until(lambda: times_said() > before)
    return killed


def set_schema_version(office: BoxOffice, version: int, serves_from: int) -> None:
    """As a newer program's `migrate` would, from outside."""
    with psycopg.connect(office.note["url"]) as connection:
        connection.execute("UPDATE tixxety.schema_version SET version = %s, serves_from = %s", (version, serves_from))


def set_read_only(office: BoxOffice, switch: str) -> None:
    """For every session of the database, as after a failover to a standby."""
    server = urlsplit(office.note["url"])._replace(path="/postgres").geturl()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE tixxety SET default_transaction_read_only = {switch}".encode())
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'tixxety'")


def listening(port: int) -> socket.socket | None:
    """A socket that listens on the port, once nobody else does."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def register_and_log_in(url: str) -> tuple[str, dict[str, str]]:
    email = f"ann-{uuid.uuid4()}@example.com"
    account = {"email": email, "password": PASSWORD, "name": "Ann"}
    assert http().post(f"{url}/auth/register", json=account).status_code == 201
    answer = http().post(f"{url}/auth/login", data={"username": email, "password": PASSWORD})
    assert answer.status_code == 200
    return email, {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_it_says_where_everything_is_and_no_secret(office: BoxOffice) -> None:
    said = office.log.read_text()
    assert f"Docs      {office.url}/docs" in said
    assert str(office.home) in said
    secrets = [
        (office.home / "jwt_secret").read_text(),
        psycopg.conninfo.conninfo_to_dict(office.note["url"])["password"],
    ]
    assert not [secret for secret in secrets if str(secret) in said]
    assert http().get(f"{office.url}/docs").status_code == 200


def test_a_second_one_names_the_first_and_ends_with_2(office: BoxOffice) -> None:
    second = tixxety(office.home, "up", "--port", "0")
    assert second.returncode == 2
    assert office.url in second.stderr
    assert str(office.process.pid) in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert office.is_ready()


def test_short_commands_use_the_running_database(office: BoxOffice) -> None:
    email, _ = register_and_log_in(office.url)
    granted = tixxety(office.home, "grant", email.upper(), "auditor")
    assert (granted.returncode, granted.stderr) == (0, "")
    assert "auditor" in granted.stdout
    revoked = tixxety(office.home, "revoke", email, "auditor")
    assert "no role" in revoked.stdout
    assert office.is_ready()


@pytest.mark.parametrize("words", ["serve --listener", "tixxety worker", "postgres -D"])
def test_whatever_is_killed_comes_back(office: BoxOffice, words: str) -> None:
    _, token = register_and_log_in(office.url)
    killed = until(lambda: office.child(words))
    killed.kill()
    until(lambda: not runs(killed))
    assert until(lambda: office.child(words)).pid != killed.pid
    until(office.is_ready, seconds=60)
    assert http().get(f"{office.url}/auth/me", headers=token).status_code == 200


def test_the_superusers_password_is_not_given_to_those_who_serve(office: BoxOffice) -> None:
    password = str(psycopg.conninfo.conninfo_to_dict(office.note["url"])["password"])
    for words in ("serve --listener", "tixxety worker"):
        child = until(lambda words=words: office.child(words))
        assert password not in "".join(child.environ().values())
    with psycopg.connect(office.note["url"], autocommit=True) as connection:
        until(lambda: connection.execute(LOGINS).fetchall() == [("tixxety_app",), ("tixxety_worker",)])


def test_secrets_are_their_owners_alone(office: BoxOffice) -> None:
    for name in ("jwt_secret", "server.json", "tixxety_app.password", "tixxety_worker.password"):
        assert stat.S_IMODE((office.home / name).stat().st_mode) == 0o600


def test_a_worker_that_another_version_has_put_out_of_work_is_waited_for(office: BoxOffice) -> None:
    set_schema_version(office, 999, serves_from=999)
    killed = kill_worker_that_is_waited_for(office)
    assert http().get(f"{office.url}/events").status_code == 200
    # The newer schema serves programs of this version after all: both can be started again.
    set_schema_version(office, 999, serves_from=SCHEMA_VERSION)
    assert until(lambda: office.child("tixxety worker"), seconds=60).pid != killed.pid
    until(lambda: office.child("serve --listener")).kill()
    until(office.is_ready, seconds=60)
    set_schema_version(office, SCHEMA_VERSION, serves_from=SCHEMA_VERSION)


def test_a_database_that_takes_no_writes_for_a_while_is_waited_for(office: BoxOffice) -> None:
    _, token = register_and_log_in(office.url)
    set_read_only(office, "on")
    kill_worker_that_is_waited_for(office)
    assert http().get(f"{office.url}/auth/me", headers=token).status_code == 200
    set_read_only(office, "off")
    until(office.is_ready, seconds=60)
    register_and_log_in(office.url)


def test_a_server_that_comes_back_elsewhere_is_followed(office: BoxOffice) -> None:
    email, token = register_and_log_in(office.url)
    old_port = urlsplit(office.note["url"]).port or 0
    killed = until(lambda: office.child("postgres -D"))
    killed.kill()
    # Whoever listens there when the server wants to come back.
    with until(lambda: listening(old_port)):
        until(lambda: urlsplit(office.note["url"]).port != old_port, seconds=60)
        until(office.is_ready, seconds=60)
        assert http().get(f"{office.url}/auth/me", headers=token).json()["email"] == email
        register_and_log_in(office.url)


def test_a_child_that_cannot_live_ends_it_with_the_reason(office: BoxOffice) -> None:
    processes = family(office.process.pid)
    set_schema_version(office, 999, serves_from=999)
    until(lambda: office.child("serve --listener")).kill()
    assert office.process.wait(150) == 2
    assert all_gone(processes)
    last = office.log.read_text().splitlines()[-1]
    assert "api died 5 times within a minute" in last
    assert "made by version 999" in last
    with embedded_database(office.home):
        set_schema_version(office, SCHEMA_VERSION, serves_from=SCHEMA_VERSION)


def test_accounts_and_tokens_outlive_a_restart_and_no_process_does(opening: Opening) -> None:
    office = opening.office_that_is_open()
    _, token = register_and_log_in(office.url)
    processes = family(office.process.pid)
    assert len(processes) > 6
    office.process.send_signal(signal.SIGINT)
    assert office.process.wait(30) == 0
    assert all_gone(processes)
    assert "Traceback" not in office.log.read_text()
    office = opening.office_that_is_open()
    assert http().get(f"{office.url}/auth/me", headers=token).status_code == 200
    processes = family(office.process.pid)
    office.process.kill()
    until(lambda: all_gone(processes))
    office = opening.office_that_is_open()
    assert http().get(f"{office.url}/auth/me", headers=token).status_code == 200
    processes = family(office.process.pid)
    office.process.send_signal(signal.SIGHUP)
    assert office.process.wait(30) == 0
    assert all_gone(processes)


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = tixxety(tmp_path / "home", "up", "--port", str(port))
    assert refused.returncode == 2
    assert refused.stderr == f"tixxety: Port {port} is taken by another program; choose another with --port.\n"
    assert not (tmp_path / "home").exists()


def test_what_needs_a_box_office_points_to_up(home: Path) -> None:
    refused = tixxety(home, "worker")
    assert refused.returncode == 2
    assert refused.stderr == f"tixxety: The home {home} has no box office yet: run tixxety up.\n"


def test_with_a_database_of_ones_own_nothing_is_embedded(empty_database_url: str, tmp_path: Path) -> None:
    own = {"DATABASE_URL": empty_database_url, "JWT_SECRET": "a secret of thirty-two bytes, yes"}
    with up(tmp_path / "home", **own) as office:
        register_and_log_in(office.url)
        assert office.child("postgres -D") is None
        assert not office.home.exists()
