"""Who comes to the embedded server, and what another program learns that has taken its port: nothing."""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from eventstore.postgres.connections import APP_ROLE, WORKER_ROLE
from tests.conftest import new_home
from tixxety.embedded.logins import login_url, open_logins
from tixxety.embedded.server import EmbeddedPostgres, can_connect
from tixxety.schema.migration import migrate

CLEAR_TEXT = b"R" + struct.pack("!II", 8, 3)
MD5 = b"R" + struct.pack("!II4s", 12, 5, b"salt")
WELCOME = b"R" + struct.pack("!II", 8, 0) + b"Z" + struct.pack("!Ic", 5, b"I")
FOR_ANOTHER_SERVER = {
    "PGSSLMODE": "require",
    "PGHOSTADDR": "192.0.2.1",
    "PGSERVICE": "nowhere",
    "PGCHANNELBINDING": "require",
    "PGTARGETSESSIONATTRS": "standby",
    "PGOPTIONS": "-c search_path=elsewhere",
}
METHODS = "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
MAY_CONNECT = "SELECT datname FROM pg_database WHERE datallowconn AND has_database_privilege('public', oid, 'CONNECT')"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server that is migrated, and whose roles log in."""
    with new_home() as home:
        server = EmbeddedPostgres(home, durable=False)
        migrate(server.start())
        open_logins(server.home, server.url)
        yield server
        server.discard()


@contextmanager
def impostor(port: int, answer: bytes) -> Iterator[list[bytes]]:
    """Another program on the port, which answers every greeting like this: gives what it is sent after that."""
    told: list[bytes] = []

    def listen(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(5)
                client.recv(4096)
                client.sendall(answer)
                told.append(client.recv(4096))

    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=listen, args=(listener,), daemon=True)
        thread.start()
        yield told
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("role", [APP_ROLE, WORKER_ROLE])
def test_api_and_worker_come_as_their_roles_and_as_no_superuser(server: EmbeddedPostgres, role: str) -> None:
    open_logins(server.home, server.url)
    with psycopg.connect(login_url(server.home, server.url, role)) as connection:
        asked = connection.execute("SELECT session_user::text, rolsuper FROM pg_roles WHERE rolname = session_user")
        assert asked.fetchone() == (f"tixxety_{role}", False)
    assert not can_connect(login_url(server.home, server.url, role).replace(f"_{role}:", f"_{role}:x"))


def test_roles_that_an_older_version_made_log_in_as_well(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url, autocommit=True) as superuser:
        superuser.execute("ALTER ROLE tixxety_app NOLOGIN PASSWORD NULL")
    assert not can_connect(login_url(server.home, server.url, APP_ROLE))
    open_logins(server.home, server.url)
    assert can_connect(login_url(server.home, server.url, APP_ROLE))


def test_no_password_is_in_the_servers_log(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url, autocommit=True) as superuser:
        superuser.execute("ALTER SYSTEM SET log_statement = 'all'")
        superuser.execute("SELECT pg_reload_conf()")
    open_logins(server.home, server.url)
    log = (server.home.path / "postgres.log").read_text()
    for role in (APP_ROLE, WORKER_ROLE):
        password = psycopg.conninfo.conninfo_to_dict(login_url(server.home, server.url, role))["password"]
        assert str(password) not in log


@pytest.mark.parametrize("answer", [CLEAR_TEXT, MD5, WELCOME])
def test_who_has_taken_the_port_is_told_no_password(server: EmbeddedPostgres, answer: bytes) -> None:
    urls = [server.url, *(login_url(server.home, server.url, role) for role in (APP_ROLE, WORKER_ROLE))]
    port = int(str(psycopg.conninfo.conninfo_to_dict(server.url)["port"]))
    server.stop()
    try:
        with impostor(port, answer) as told:
            assert [can_connect(url) for url in urls] == [False] * 3
        assert told == [b""] * 3
    finally:
        server.start()


def test_only_scram_gets_in(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url) as superuser:
        assert superuser.execute(METHODS).fetchall() == [("scram-sha-256",)]


def test_no_login_may_go_to_another_database(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url) as superuser:
        assert superuser.execute(MAY_CONNECT).fetchall() == []


def test_libpqs_variables_are_meant_for_another_server(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in FOR_ANOTHER_SERVER.items():
        monkeypatch.setenv(name, value)
    server.stop()
    assert can_connect(server.start())
    assert not [name for name in os.environ if name.startswith("PG")]
    attached = EmbeddedPostgres(server.home.path)
    monkeypatch.setenv("PGSSLMODE", "require")
    assert can_connect(attached.start())
    attached.stop()
