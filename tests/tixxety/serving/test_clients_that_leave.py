"""Nothing is done any longer for a client that has left, as far as that is known and it is not done already."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest

from bench.load import request
from eventstore.box_office import BoxOffice
from tests.api.programme import event_body
from tests.begun_sessions import BEGIN_SESSIONS, token_of
from tests.running import free_port, http, until_ready
from tests.tixxety.forked import running_command
from tests.tixxety.waiting_for_processes import until

SECRET = "a secret for tests, and for nothing else"
# Longer than any answer is waited for, but for who has left.
SLOW_EVENTS = """
ALTER TABLE events RENAME TO quick_events;
CREATE VIEW events AS SELECT quick_events.* FROM pg_sleep(60) LEFT JOIN quick_events ON true OFFSET 0;
GRANT SELECT ON events TO tixxety_app
"""
SLEEPING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'
"""
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
REGISTER = "INSERT INTO accounts (account_id, email, password_hash, name) VALUES (%s, %s, 'none', 'Somebody')"
BUYERS = "SELECT state ->> 'buyer_id' FROM history WHERE type = 'ReservationPlaced'"


@pytest.fixture
def api_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    """A real API process: what matters is between its socket and the database."""
    environment = {"DATABASE_URL": database_url, "JWT_SECRET": SECRET, "HOME": str(tmp_path)}
    port, log = free_port(), tmp_path / "serve.log"
    with running_command(["serve", "--port", str(port)], environment, log) as process:
        until_ready(f"http://127.0.0.1:{port}/health/live", (process, log))
        yield f"http://127.0.0.1:{port}"
        assert "Traceback" not in log.read_text()


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True, options="-c search_path=tixxety,projections") as connection:
        yield connection


def ask(url: str, asked: bytes) -> socket.socket:
    """Send a request, and return the connection without waiting for the answer."""
    place = urlsplit(url)
    client = socket.create_connection((str(place.hostname), int(place.port or 0)))
    client.sendall(asked)
    return client


def leave(client: socket.socket) -> None:
    """End the connection for both sides at once."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def counts(owner: psycopg.Connection[Any], query: str, wanted: int) -> bool:
    return owner.execute(query.encode()).fetchone() == (wanted,)


def test_what_it_asked_of_the_database_ends_there(api_url: str, owner: psycopg.Connection[Any]) -> None:
    owner.execute(SLOW_EVENTS.encode())
    clients = [ask(api_url, request("GET", api_url, f"/events?city={uuid4()}")) for _ in range(3)]
    until(lambda: counts(owner, SLEEPING, len(clients)))
    for client in clients:
        leave(client)
    until(lambda: counts(owner, SLEEPING, 0), 20)
    owner.execute("DROP VIEW events; ALTER TABLE quick_events RENAME TO events")
    assert http().get(f"{api_url}/events/{uuid4()}").status_code == 404


def test_a_command_that_waits_is_not_begun_and_those_of_others_are(
    api_url: str, owner: psycopg.Connection[Any]
) -> None:
    first, leaving, staying = (uuid4() for _ in range(3))
    tokens = {account: token_of(SECRET, account) for account in (first, leaving, staying)}
    for account in tokens:
        owner.execute(REGISTER, (account, f"{account}@example.com"))
    owner.execute(BEGIN_SESSIONS.encode(), {"ids": [*tokens]})
    headers = {"Authorization": f"Bearer {tokens[first]}"}
    event = http().post(f"{api_url}/events", json=event_body(), headers=headers).json()

    def reserves(account: UUID) -> socket.socket:
        return ask(api_url, request("POST", api_url, "/reservations", tokens[account], {"event_id": event["id"]}))

    owner.execute("SELECT pg_advisory_lock(%s)", (BoxOffice().stream_key(UUID(event["id"])),))
    clients = [reserves(first)]
    until(lambda: counts(owner, WAITING, 1))
    gone = reserves(leaving)
    clients.append(reserves(staying))
    http().get(f"{api_url}/health/live")
    leave(gone)
    http().get(f"{api_url}/health/live")
    owner.execute("SELECT pg_advisory_unlock_all()")
    for client in clients:
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 201")
    assert {buyer for (buyer,) in owner.execute(BUYERS)} == {str(first), str(staying)}
