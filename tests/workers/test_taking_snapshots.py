"""The worker takes snapshots of long streams: at intervals that grow, and of what was committed only."""

from itertools import pairwise
from uuid import UUID

import pytest

from domain.ticketed_event import TicketsHeld
from eventstore import snapshots
from eventstore.aggregates import load
from eventstore.codec import encode
from eventstore.connections import Connection, connect
from eventstore.group_commit import GroupCommit
from tests import box_office
from tests.domain.given_when_then import snapshot
from workers.snapshots import Snapshots

VERSION = "SELECT coalesce(max(originator_version), 0) FROM snapshots WHERE originator_id = %(id)s"
APPEND_ONE = (
    "SELECT append(ARRAY[%(id)s], ARRAY[%(version)s::bigint], ARRAY[%(topic)s], ARRAY[%(state)s::bytea], '{1}', "
    "%(lock_class)s, %(lock_key)s)"
)


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MIN_INTERVAL_VERSIONS", 50)


async def sell(connection: Connection, commands: GroupCommit, event_id: UUID, tickets: int) -> None:
    """Two domain events of the event's stream for each ticket, and one more buyer in its state."""
    buyers = await box_office.register(connection, tickets)
    wishes = [box_office.reserve(event_id, buyer) for buyer in buyers]
    await box_office.submit_all(commands, wishes)
    await box_office.submit_all(commands, [box_office.pay(wish) for wish in wishes])


async def on_sale(connection: Connection, commands: GroupCommit) -> UUID:
    (organiser,) = await box_office.register(connection, 1)
    event = box_office.create(organiser, capacity=1_000)
    await commands.submit(event)
    return event.event_id


async def test_intervals_grow_with_the_state(database_url: str, connection: Connection, commands: GroupCommit) -> None:
    event_id = await on_sale(connection, commands)
    job = Snapshots(database_url)
    versions = []
    for _ in range(10):
        await sell(connection, commands, event_id, 25)
        await job.run()
        versions.append(await box_office.only(connection, VERSION, id=event_id))
    await job.close()
    taken_at_versions = sorted(set(versions))
    assert taken_at_versions[:3] == [51, 101, 201]
    gaps = [after - before for before, after in pairwise(taken_at_versions)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > gaps[0]
    told = await box_office.judged_history(connection)
    assert snapshot(await load(connection, event_id)) == snapshot(told.events[event_id])


async def test_short_streams_get_none(database_url: str, connection: Connection, commands: GroupCommit) -> None:
    event_id = await on_sale(connection, commands)
    await sell(connection, commands, event_id, 20)
    job = Snapshots(database_url)
    await job.run()
    await job.close()
    assert await box_office.only(connection, "SELECT count(*) FROM snapshots") == 0


async def test_a_new_worker_goes_on_where_the_last_one_stopped(
    database_url: str, connection: Connection, commands: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SCAN_POSITIONS", 30)
    event_ids = [await on_sale(connection, commands) for _ in range(2)]
    for event_id in event_ids:
        await sell(connection, commands, event_id, 30)
        job = Snapshots(database_url)
        await job.run()
        await job.close()
        assert await box_office.only(connection, VERSION, id=event_id) == 61


async def test_a_snapshot_never_holds_what_was_not_committed(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    event_id = await on_sale(connection, commands)
    await sell(connection, commands, event_id, 30)
    told = await box_office.judged_history(connection)
    last = told.streams[event_id][1]
    assert isinstance(last, TicketsHeld)
    values = {"id": event_id, "version": 62, "topic": "TicketsHeld", "state": encode(last)}
    job = Snapshots(database_url)
    async with await connect(database_url) as undecided:
        await undecided.execute("BEGIN")
        await undecided.execute(APPEND_ONE, values | box_office.POSITION_LOCK)
        await job.run()
        await undecided.execute("ROLLBACK")
    await job.close()
    assert await box_office.only(connection, VERSION, id=event_id) == 61
    assert snapshot(await load(connection, event_id)) == snapshot(told.events[event_id])
