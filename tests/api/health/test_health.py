"""Alive and ready: what each check of readiness notices, and that it says so."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql

from api.app import ApiConfig
from api.health import LONGEST_LAG_SECONDS
from api.plumbing import projector_presence
from eventstore.postgres import connections
from eventstore.postgres.connections import WORKER_ROLE, connect
from projections.projector.projector import Projector
from tests.api.conftest import LogIn, problem_of
from tests.api.programme import new_event

STORE_NONSENSE = """
INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, command_position)
VALUES (gen_random_uuid(), 1, 'TicketsPainted', '{"timestamp": "2035-06-01T12:00:00Z"}', 1, 1)
"""

Readiness = tuple[int, dict[str, Any]]


@pytest.fixture
def config(config: ApiConfig, monkeypatch: pytest.MonkeyPatch) -> ApiConfig:
    """Requests give up a database that is away sooner than they would."""
    monkeypatch.setattr(connections, "POOL_SECONDS", 0.5)
    return config


async def readiness(client: httpx2.AsyncClient) -> Readiness:
    answered = await client.get("/health/ready")
    body = answered.json()
    assert (answered.status_code == 200) == (body["status"] == "ready")
    assert (answered.status_code == 200) == all(check["ok"] for check in body["checks"].values())
    return answered.status_code, body


async def becomes(client: httpx2.AsyncClient, wanted: Callable[[Readiness], bool]) -> dict[str, Any]:
    """Ask until the readiness is as wanted, for half a minute at most."""
    for _ in range(600):
        found = await readiness(client)
        if wanted(found):
            return found[1]
        await asyncio.sleep(0.05)
    raise AssertionError(found)


@asynccontextmanager
async def running(projector: Projector) -> AsyncIterator[None]:
    task = asyncio.create_task(projector.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextmanager
def database_away(database_url: str, server_url: str) -> Iterator[None]:
    """Nobody can connect to the test's database, and all who were are thrown out."""
    name = urlsplit(database_url).path.removeprefix("/")
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        connection.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


async def test_a_process_that_answers_is_alive(client: httpx2.AsyncClient) -> None:
    answered = await client.get("/health/live")
    assert (answered.status_code, answered.json()) == (200, {"status": "alive"})


async def test_ready_when_database_schema_projector_and_projections_are_there(
    client: httpx2.AsyncClient, database_url: str
) -> None:
    async with running(Projector(database_url)):
        body = await becomes(client, lambda found: found[0] == 200)
    assert body["checks"].keys() == {"database", "schema", "writing", "append_only", "runner", "projections"}
    assert 0 <= body["notification_queue_percent"] < 100
    assert body["append_only"] == "privileges and trigger"


async def test_the_lag_of_each_consumer_is_shown_and_that_of_a_strange_one_turns_nothing_red(
    client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    ada = await new_account()
    async with running(Projector(database_url)), await connect(database_url, role=WORKER_ROLE) as connection:
        await new_event(client, ada)
        await connection.execute("INSERT INTO consumers (name) VALUES ('mail')")

        def is_folded(found: Readiness) -> bool:
            return {"name": "projector", "position": 1, "behind": 0} in found[1].get("consumers", [])

        body = await becomes(client, is_folded)
    assert body["status"] == "ready"
    assert [one for one in body["consumers"] if one["name"] != "projector"] == [
        {"name": "mail", "position": 0, "behind": 1},
        {"name": "sealing", "position": 0, "behind": 1},
    ]


async def test_not_ready_before_any_projector_was_there(client: httpx2.AsyncClient) -> None:
    status, body = await readiness(client)
    assert status == 503
    assert [name for name, check in body["checks"].items() if not check["ok"]] == ["runner"]
    assert "tixxety worker" in body["checks"]["runner"]["problem"]


async def test_a_projector_may_be_away_for_some_seconds(
    client: httpx2.AsyncClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Projector(database_url)):
        await becomes(client, lambda found: found[0] == 200)
    assert (await readiness(client))[0] == 200
    monkeypatch.setattr(projector_presence, "GRACE_SECONDS", 0.2)
    body = await becomes(client, lambda found: found[0] == 503)
    assert not body["checks"]["runner"]["ok"]


async def test_not_ready_while_a_domain_event_waits_too_long_to_be_folded(
    client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    ada = await new_account()
    event = {"title": "A", "starts_at": "2150-01-01T19:00:00Z", "ends_at": "2150-01-01T22:00:00Z", "total_tickets": 2}
    assert (await client.post("/events", json=event, headers=ada.headers)).status_code == 201
    assert (await readiness(client))[1]["checks"]["projections"]["ok"]
    make_older(database_url, LONGEST_LAG_SECONDS)
    check = (await readiness(client))[1]["checks"]["projections"]
    assert not check["ok"]
    assert "position 1 has waited 1" in check["problem"]
    async with running(Projector(database_url)):
        assert (await becomes(client, lambda found: found[0] == 200))["checks"]["projections"]["ok"]


def make_older(database_url: str, seconds: float) -> None:
    """Move what was recorded into the past, as only the owner of the table can."""
    older = """
    UPDATE stored_events SET state = convert_to(jsonb_set(convert_from(state, 'UTF8')::jsonb, '{timestamp}', to_jsonb(
        to_char(clock_timestamp() AT TIME ZONE 'UTC' - make_interval(secs => %(seconds)s), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    ))::text, 'UTF8')
    """
    with psycopg.connect(database_url, options="-c search_path=tixxety") as connection:
        connection.execute("ALTER TABLE stored_events DISABLE TRIGGER USER")
        connection.execute(older, {"seconds": seconds})
        connection.execute("ALTER TABLE stored_events ENABLE TRIGGER USER")


async def test_a_domain_event_that_can_not_be_folded_is_named(client: httpx2.AsyncClient, database_url: str) -> None:
    async with await connect(database_url) as connection, running(Projector(database_url)):
        await becomes(client, lambda found: found[0] == 200)
        await connection.execute(STORE_NONSENSE)
        body = await becomes(client, lambda found: found[0] == 503)
    assert body["checks"]["projections"]["problem"].startswith("position 1 can't be folded")
    assert body["checks"]["runner"]["ok"]


async def test_tables_that_an_older_version_lacks_are_missed_by_their_routes_alone(
    client: httpx2.AsyncClient, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True, options="-c search_path=projections") as connection:
        connection.execute("UPDATE checkpoint SET definitions_version = 1")
        connection.execute("ALTER TABLE event_search DROP COLUMN search_text")
    missed = problem_of(await client.get("/events", params={"q": "jazz"}), 503, "rebuild-due")
    assert missed["retry_after_seconds"] == 60
    assert (await client.get(f"/events/{uuid4()}")).status_code == 404


async def test_without_a_database_alive_but_not_ready_until_it_is_back(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn, database_url: str, server_url: str
) -> None:
    ada = await new_account()
    with database_away(database_url, server_url):
        status, body = await readiness(client)
        assert (status, body["checks"].keys()) == (503, {"database"})
        assert "did not answer" in body["checks"]["database"]["problem"]
        assert (await client.get("/health/live")).status_code == 200
        away = await client.get("/auth/me", headers=ada.headers)
        problem_of(away, 503, "database-away")
        assert away.headers["retry-after"]
    async with running(Projector(database_url)):
        await becomes(client, lambda found: found[0] == 200)
    assert (await client.get("/auth/me", headers=ada.headers)).status_code == 200


async def test_once_the_database_is_heard_of_again_no_answer_is_lost_to_old_connections(
    app: FastAPI, client: httpx2.AsyncClient, database_url: str, server_url: str, new_account: LogIn
) -> None:
    # To connect anew takes time where the machine is busy.
    app.state.services.pool.timeout = 30
    ada = await new_account()
    watcher = app.state.services.checkpoint_watcher

    async def ask_all_at_once() -> set[int]:
        answers = await asyncio.gather(*(client.get("/auth/me", headers=ada.headers) for _ in range(20)))
        return {answer.status_code for answer in answers}

    async with running(Projector(database_url)):
        await new_event(client, ada)
        assert await watcher.wait_for(1, 30)
        assert await ask_all_at_once() == {200}
        with database_away(database_url, server_url):
            for _ in range(600):
                if watcher.position == 0:
                    break
                await asyncio.sleep(0.05)
        assert await watcher.wait_for(1, 30)
        assert await ask_all_at_once() == {200}
