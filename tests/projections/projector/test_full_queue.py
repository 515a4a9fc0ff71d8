"""NOTIFY is a hint: with its queue full folding and following go on, and what has filled it is soon forgotten."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from eventstore.postgres.connections import Connection, connect
from projections.projector.checkpoint_watcher import CheckpointWatcher
from projections.projector.projector import Projector
from projections.queries import reservations_queries
from tests.projections.histories import BoxOffice, append
from tests.projections.waiting import running, until, until_folded
from tixxety.embedded import server as embedded_postgres
from tixxety.embedded.binaries import find_binaries
from tixxety.embedded.server import EmbeddedPostgres
from tixxety.schema.migration import migrate

PAGES = "64"
FLOOD = "SELECT pg_notify('noise', repeat('x', 7000) || n) FROM generate_series(1, 20) AS n"
HALF_FULL = 0.5
INSERT_IN_SILENCE = """
INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, command_position)
SELECT gen_random_uuid(), 1, topic, state, n, n
FROM (SELECT max(notification_id) + 1 AS n FROM stored_events) AS next, stored_events WHERE notification_id = 1
"""
# Twice a second is looked at the history and four times at the checkpoint; a loaded machine takes longer.
LATENCY_SECONDS = 1.0 * 3


@pytest.fixture
def small_queue_url(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of its own whose queue is soon full, which can be had since PostgreSQL 17."""
    if find_binaries(None, os.environ.get("TIXXETY_PG_BINDIR")).major < 17:
        pytest.skip("the size of the queue can't be set")
    monkeypatch.setitem(embedded_postgres.SETTINGS, "max_notify_queue_pages", PAGES)
    server = EmbeddedPostgres(home, durable=False)
    try:
        url = server.start()
        migrate(url)
        yield url
    finally:
        server.discard()


async def usage(connection: Connection) -> float:
    return (await reservations_queries.readiness(connection)).notification_queue


async def flood(connection: Connection, fullness: float) -> None:
    """Notify until the queue is as full as that; 1 is more than fits in."""
    with contextlib.suppress(psycopg.errors.ProgramLimitExceeded):
        while await usage(connection) < fullness:
            await connection.execute(FLOOD)


async def test_with_a_full_queue_folding_and_following_go_on(small_queue_url: str) -> None:
    url = small_queue_url
    async with await connect(url) as connection, running(Projector(url)), CheckpointWatcher(url) as watcher:
        last = await append(connection, BoxOffice(1).commands(20))
        await until_folded(connection)
        async with await connect(url, idle_in_transaction_session_timeout="0") as listener:
            await listener.execute("LISTEN noise")
            await listener.execute("BEGIN")
            for fullness in (HALF_FULL, 1.0):
                await flood(connection, fullness)
                assert await usage(connection) > HALF_FULL
                began = time.monotonic()
                await connection.execute(INSERT_IN_SILENCE)
                last += 1
                assert await watcher.wait_for(last, 30)
                assert time.monotonic() - began < LATENCY_SECONDS
            await listener.execute("ROLLBACK")
        await until(lambda: takes_notifications(connection))


async def takes_notifications(connection: Connection) -> bool:
    """Asks for no usage, which would help it."""
    try:
        await connection.execute(FLOOD)
    except psycopg.errors.ProgramLimitExceeded:
        return False
    return True
