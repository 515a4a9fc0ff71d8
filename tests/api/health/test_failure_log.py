"""A full disk, a database that takes no writes: told as what it is, once in the log, and readiness is red."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx2
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql
from structlog.testing import capture_logs

from api.app import ApiConfig
from api.http import failure_log
from tests.api.conftest import PASSWORD, application, problem_of
from tests.api.health.test_health import becomes, readiness
from tests.api.programme import an_auditor, crowd, event_body

FULL = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$
"""
TABLES = ("accounts", "audit_reads", "refused_together", "stored_events")
END_OTHERS = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True, options="-c search_path=tixxety") as connection:
        yield connection


@contextmanager
def full_disk(owner: psycopg.Connection[Any]) -> Iterator[None]:
    """PostgreSQL says to every insert what it says when a file can't grow."""
    owner.execute(FULL)
    for table in TABLES:
        trigger = sql.SQL("CREATE TRIGGER full_disk BEFORE INSERT ON {} EXECUTE FUNCTION no_room()")
        owner.execute(trigger.format(sql.Identifier(table)))
    try:
        yield
    finally:
        owner.execute("DROP FUNCTION no_room CASCADE")


@contextmanager
def read_only(owner: psycopg.Connection[Any]) -> Iterator[None]:
    """Whoever connects from now on can only read."""
    database = sql.Identifier(owner.info.dbname)
    owner.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(database))
    owner.execute(END_OTHERS)
    try:
        yield
    finally:
        owner.execute(sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(database))
        owner.execute(END_OTHERS)


async def register(client: httpx2.AsyncClient) -> httpx2.Response:
    account = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "name": "Ada"}
    return await client.post("/auth/register", json=account)


async def test_a_full_disk_is_told_and_over_once_there_is_room(
    app: FastAPI, client: httpx2.AsyncClient, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_log, "LOOK_AGAIN_SECONDS", 0)
    auditor, (account,) = await an_auditor(app), await crowd(app, 1)
    with capture_logs() as logged, full_disk(owner):
        for _ in range(3):
            created = await client.post("/events", json=event_body(), headers=account.headers)
            problem_of(created, 503, "disk-full")
            answered = await register(client)
            assert answered.headers["retry-after"] == str(problem_of(answered, 503, "disk-full")["retry_after_seconds"])
            problem_of(await client.get("/audit/seals", headers=auditor.headers), 503, "disk-full")
            _, body = await readiness(client)
            assert body["checks"]["writing"] == {"ok": False, "problem": "the disk of the database is full"}
            assert (await client.get("/events")).status_code == 200
    _, body = await readiness(client)
    assert body["checks"]["writing"]["ok"]
    told = [entry["event"] for entry in logged if entry.get("code") == "disk-full"]
    assert told == ["requests fail"]
    assert (await register(client)).status_code == 201
    assert (await client.post("/events", json=event_body(), headers=account.headers)).status_code == 201


async def test_a_database_that_only_reads_is_told_by_every_write(
    app: FastAPI, client: httpx2.AsyncClient, owner: psycopg.Connection[Any]
) -> None:
    auditor, (account,) = await an_auditor(app), await crowd(app, 1)
    with capture_logs() as logged, read_only(owner):
        for _ in range(2):
            for answered in (
                await register(client),
                await client.post("/events", json=event_body(), headers=account.headers),
                await client.delete("/auth/me", headers=account.headers),
                await client.get("/audit/seals", headers=auditor.headers),
            ):
                problem = problem_of(answered, 503, "read-only")
                assert answered.headers["retry-after"] == str(problem["retry_after_seconds"])
        _, body = await readiness(client)
        assert body["checks"]["writing"] == {"ok": False, "problem": "the database is read-only: nothing can be sold"}
        assert (await client.get("/events", headers=account.headers)).status_code == 200
    assert [entry["event"] for entry in logged if entry.get("code") == "read-only"] == ["requests fail"]
    await becomes(client, lambda found: found[1]["checks"].get("writing", {"ok": False})["ok"])


async def test_what_was_told_is_told_anew_after_a_quiet_time(
    client: httpx2.AsyncClient, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_log, "QUIET_SECONDS", -1)
    with capture_logs() as logged, full_disk(owner):
        for _ in range(3):
            await register(client)
    assert len([entry for entry in logged if entry.get("code") == "disk-full"]) == 3


class BlackHole:
    """Stands before the server and forwards everything, until nothing comes out of it any more."""

    def __init__(self, database_url: str) -> None:
        self._parts = urlsplit(database_url)
        self._open = asyncio.Event()
        self._open.set()
        self._relays: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def url(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        login = self._parts.netloc.rpartition("@")[0]
        place = self._parts._replace(netloc=f"{login}@127.0.0.1:{port}", query="sslmode=disable&gssencmode=disable")
        yield urlunsplit(place)
        server.close()
        for relay in self._relays:
            relay.cancel()

    def close(self) -> None:
        """Let nothing through any more."""
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        for source, target in ((reader, theirs[1]), (theirs[0], writer)):
            self._relays.add(asyncio.create_task(self._relay(source, target)))

    async def _relay(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            await self._open.wait()
            target.write(data)
        target.close()


async def test_readiness_tells_of_a_silent_server_within_seconds(config: ApiConfig) -> None:
    hole = BlackHole(config.box_office)
    async with hole.url() as url:
        app = application(replace(config, box_office=url))
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://box-office") as client,
        ):
            assert (await readiness(client))[1]["checks"]["database"]["ok"]
            hole.close()
            clock = asyncio.get_running_loop().time
            for _ in range(2):
                began = clock()
                _, body = await readiness(client)
                assert clock() - began < 5
                assert "did not answer" in body["checks"]["database"]["problem"]
            assert (await client.get("/health/live")).status_code == 200
