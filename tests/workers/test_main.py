"""One worker process: projector, expiry and snapshots together; it ends when told, and only what is broken stops."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from eventstore import snapshots
from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from eventstore.writing.group_commit import GroupCommit
from projections import checkpoint
from projections.checkpoint import DEFINITIONS_VERSION
from projections.projector.batch_transaction import Batches
from projections.queries import reservations_queries
from tests import box_office
from tests.fault_proxy import FaultProxy
from tests.workers.conftest import Worker
from workers.main import run
from workers.periodic_jobs import Snapshots

APPEND_ONE = "SELECT append(ARRAY[%(id)s], '{1}', ARRAY[%(topic)s], '{x}', '{1}', %(lock_class)s, %(lock_key)s)"
COUNT = "SELECT count(*) FROM stored_events WHERE topic = %(topic)s"
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'worker'"

Reaches = Callable[[str, int], Awaitable[None]]


@pytest.fixture
def reaches(connection: Connection) -> Reaches:
    """Waits until a query's one value is as large as this."""

    async def wait(query: str, wanted: int) -> None:
        async def reached() -> bool:
            return bool(await box_office.only(connection, query) >= wanted)

        await box_office.until(reached)

    return wait


async def test_projector_expiry_and_snapshots_work_together(
    connection: Connection, commands: GroupCommit, worker: Worker, reaches: Reaches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Snapshots, "interval_seconds", 1)
    monkeypatch.setattr(snapshots, "MIN_INTERVAL_VERSIONS", 20)
    organiser, *buyers = await box_office.register(connection, 31)
    event = box_office.create(organiser, capacity=30, hold_seconds=1)
    await commands.submit(event)
    wishes = [box_office.reserve(event.event_id, buyer) for buyer in buyers]
    await box_office.submit_all(commands, wishes)
    await box_office.submit_all(commands, [box_office.pay(wish) for wish in wishes[:10]])
    async with worker():
        await reaches("SELECT count(*) FROM reservations WHERE status = 'expired'", 20)
        await reaches("SELECT count(*) FROM snapshots", 1)
    told = await box_office.judged_history(connection)
    assert (await checkpoint.read(connection)).position == len(told.records) == 1 + 60 + 20 + 40
    kept = await snapshots.newest(connection, event.event_id)
    assert kept
    assert kept.version > 20
    assert await box_office.only(connection, "SELECT array_agg((reserved, paid)::text) FROM ticket_types") == ["(0,10)"]


@pytest.mark.parametrize("version", [DEFINITIONS_VERSION - 1, DEFINITIONS_VERSION + 1])
async def test_beside_another_versions_tables_all_but_folding_goes_on(
    database_url: str,
    connection: Connection,
    commands: GroupCommit,
    worker: Worker,
    reaches: Reaches,
    version: int,
) -> None:
    organiser, *buyers = await box_office.register(connection, 4)
    event = box_office.create(organiser, hold_seconds=1)
    await commands.submit(event)
    await box_office.submit_all(commands, [box_office.reserve(event.event_id, buyer) for buyer in buyers])
    # As the other version's projector has left them.
    async with await connect(database_url, role=WORKER_ROLE) as other:
        folded = Batches(other, await checkpoint.read(other))
        await folded.fold_next()
        await other.execute("UPDATE checkpoint SET definitions_version = %s", (version,))
    async with worker() as task:
        await reaches("SELECT count(*) FROM history WHERE type = 'ReservationExpired'", 3)
        await reaches("SELECT count(*) FROM seals", 1)
        assert not task.done()
        assert (await checkpoint.read(connection)).position == folded.position
        # As a rebuild by this program leaves them.
        async with await connect(database_url, role=WORKER_ROLE) as other:
            await other.execute("UPDATE checkpoint SET definitions_version = %s", (DEFINITIONS_VERSION,))
        await reaches("SELECT count(*) FROM reservations WHERE status = 'expired'", 3)
        assert (await reservations_queries.readiness(connection)).projector_holds_lock


async def test_it_ends_when_told_and_leaves_no_session(
    database_url: str, connection: Connection, reaches: Reaches
) -> None:
    for wanted in (0, 1, 5):
        task = asyncio.create_task(run(f"{database_url}?application_name=worker", 90))
        await reaches(SESSIONS, wanted)
        task.cancel()
        async with asyncio.timeout(20):
            with pytest.raises(asyncio.CancelledError):
                await task

        async def gone() -> bool:
            return bool(await box_office.only(connection, SESSIONS) == 0)

        await box_office.until(gone)


async def test_a_fold_that_fails_stops_the_projector_while_expiry_goes_on(
    database_url: str, connection: Connection, commands: GroupCommit, worker: Worker, reaches: Reaches
) -> None:
    organiser, *buyers = await box_office.register(connection, 11)
    event = box_office.create(organiser, capacity=10, hold_seconds=1)
    async with worker() as task:
        await commands.submit(event)
        await box_office.submit_all(commands, [box_office.reserve(event.event_id, buyer) for buyer in buyers])
        await reaches("SELECT count(*) FROM reservations", 10)
        async with await connect(database_url) as other:
            await other.execute(APPEND_ONE, {"id": uuid4(), "topic": "TicketsStolen"} | box_office.POSITION_LOCK)
        stolen_at = await box_office.only(connection, "SELECT max(notification_id) FROM stored_events")

        async def projector_has_stopped() -> bool:
            return (await reservations_queries.readiness(connection)).stopped_before == stolen_at

        await box_office.until(projector_has_stopped)
        await reaches("SELECT count(*) FROM stored_events WHERE topic = 'ReservationExpired'", 10)
        assert not task.done()
        assert (await checkpoint.read(connection)).position < stolen_at, "nothing is skipped"
    assert await box_office.only(connection, COUNT, topic="ReservationExpired") == 10
    states = await (
        await connection.execute("SELECT state FROM stored_events WHERE topic = 'TicketsReleased'")
    ).fetchall()
    assert len({json.loads(state)["reservation_id"] for (state,) in states}) == 10


async def test_a_database_that_is_away_at_the_start_is_waited_for(
    database_url: str, connection: Connection, commands: GroupCommit, worker: Worker, reaches: Reaches
) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser, hold_seconds=1)
    await commands.submit(event)
    await commands.submit(box_office.reserve(event.event_id, buyer))
    async with FaultProxy(database_url) as proxy:
        await proxy.go_away()
        async with worker(proxy.url) as task:
            await reaches("SELECT extract(epoch FROM clock_timestamp() - min(created_at)) * 1000 FROM accounts", 300)
            assert not task.done()
            await proxy.come_back()
            await reaches("SELECT count(*) FROM reservations WHERE status = 'expired'", 1)
