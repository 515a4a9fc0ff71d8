"""The worker takes snapshots of long streams: at intervals that grow, and of what was committed only."""

from collections.abc import Awaitable, Callable
from itertools import pairwise
from uuid import UUID

import psycopg
import pytest
from structlog.testing import capture_logs

from domain.event_facts import TicketsHeld
from domain.ticketed_event import TicketedEvent
from eventstore import snapshots
from eventstore.codec import encode
from eventstore.postgres.connections import Connection, connect
from eventstore.writing.aggregate_cache import load
from eventstore.writing.group_commit import GroupCommit
from tests import box_office
from tests.domain.given_when_then import snapshot
from workers.periodic_jobs import Snapshots

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


async def test_intervals_grow_with_the_state(
    database_url: str, connection: Connection, at_work: Connection, commands: GroupCommit
) -> None:
    event_id = await on_sale(connection, commands)
    job = Snapshots()
    versions = []
    for _ in range(10):
        await sell(connection, commands, event_id, 25)
        await job.work(at_work)
        versions.append(await box_office.only(connection, VERSION, id=event_id))
    taken_at_versions = sorted(set(versions))
    assert taken_at_versions[:3] == [51, 101, 201]
    gaps = [after - before for before, after in pairwise(taken_at_versions)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > gaps[0]
    told = await box_office.judged_history(connection)
    assert snapshot(await load(connection, event_id)) == snapshot(told.events[event_id])


async def test_short_streams_get_none(
    database_url: str, connection: Connection, at_work: Connection, commands: GroupCommit
) -> None:
    event_id = await on_sale(connection, commands)
    await sell(connection, commands, event_id, 20)
    job = Snapshots()
    await job.work(at_work)
    assert await box_office.only(connection, "SELECT count(*) FROM snapshots") == 0


async def test_a_new_worker_goes_on_where_the_last_one_stopped(
    database_url: str,
    connection: Connection,
    at_work: Connection,
    commands: GroupCommit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots, "SCAN_POSITIONS", 30)
    event_ids = [await on_sale(connection, commands) for _ in range(2)]
    for event_id in event_ids:
        await sell(connection, commands, event_id, 30)
        job = Snapshots()
        await job.work(at_work)
        assert await box_office.only(connection, VERSION, id=event_id) == 61


async def test_a_snapshot_never_holds_what_was_not_committed(
    database_url: str, connection: Connection, at_work: Connection, commands: GroupCommit
) -> None:
    event_id = await on_sale(connection, commands)
    await sell(connection, commands, event_id, 30)
    told = await box_office.judged_history(connection)
    last = told.streams[event_id][1]
    assert isinstance(last, TicketsHeld)
    values = {"id": event_id, "version": 62, "topic": "TicketsHeld", "state": encode(last)}
    job = Snapshots()
    async with await connect(database_url) as undecided:
        await undecided.execute("BEGIN")
        await undecided.execute(APPEND_ONE, values | box_office.POSITION_LOCK)
        await job.work(at_work)
        await undecided.execute("ROLLBACK")
    assert await box_office.only(connection, VERSION, id=event_id) == 61
    assert snapshot(await load(connection, event_id)) == snapshot(told.events[event_id])


async def test_a_stream_that_was_missed_when_a_process_ended_gets_its_snapshot_from_the_next(
    database_url: str,
    connection: Connection,
    at_work: Connection,
    commands: GroupCommit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event_ids = [await on_sale(connection, commands) for _ in range(3)]
    for event_id in event_ids:
        await sell(connection, commands, event_id, 30)
    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "keep", dying(after=1))
        with pytest.raises(psycopg.OperationalError):
            await Snapshots().work(at_work)
    assert await box_office.only(connection, "SELECT count(*) FROM snapshots") == 1
    await Snapshots().work(at_work)
    assert await box_office.only(connection, "SELECT count(*) FROM snapshots") == 3


def dying(after: int) -> Callable[..., Awaitable[None]]:
    """Keeps so many snapshots; then the process ends."""
    real, left = snapshots.keep, after

    async def keep(connection: Connection, event: TicketedEvent, position: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise psycopg.OperationalError("the process was ended")
        await real(connection, event, position)

    return keep


async def test_what_was_looked_through_is_not_looked_through_again(
    connection: Connection, at_work: Connection, commands: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a history of years each call reads what is new, also where no stream ever grew long."""
    event_id = await on_sale(connection, commands)
    await sell(connection, commands, event_id, 20)
    job = Snapshots()
    await job.work(at_work)
    monkeypatch.setattr(snapshots, "MIN_INTERVAL_VERSIONS", 10)
    await job.work(at_work)
    assert await box_office.only(connection, VERSION, id=event_id) == 0
    await sell(connection, commands, event_id, 1)
    await job.work(at_work)
    assert await box_office.only(connection, VERSION, id=event_id) == 43


async def test_a_stream_that_can_not_be_read_holds_up_no_other(
    connection: Connection, at_work: Connection, commands: GroupCommit
) -> None:
    broken, good = [await on_sale(connection, commands) for _ in range(2)]
    for event_id in (broken, good):
        await sell(connection, commands, event_id, 30)
    values = {"id": broken, "version": 62, "topic": "TicketsPainted", "state": b"{}"}
    await connection.execute(APPEND_ONE, values | box_office.POSITION_LOCK)
    job = Snapshots()
    with capture_logs() as logs:
        await job.work(at_work)
        await sell(connection, commands, good, 30)
        await job.work(at_work)
    assert [entry["event"] for entry in logs] == ["a stream can't be read, and gets no snapshot"]
    assert await box_office.only(connection, VERSION, id=good) >= 61
    assert await box_office.only(connection, VERSION, id=broken) == 0


@pytest.mark.parametrize("state", [b"nonsense", b"", b"\x80", b"\xc1"])
async def test_a_snapshot_that_can_not_be_read_is_told_once_and_replaced(
    database_url: str, connection: Connection, at_work: Connection, commands: GroupCommit, state: bytes
) -> None:
    event_id = await on_sale(connection, commands)
    await sell(connection, commands, event_id, 30)
    job = Snapshots()
    await job.work(at_work)
    await at_work.execute("UPDATE snapshots SET state = %s", (state,))
    (buyer,) = await box_office.register(connection, 1)
    with capture_logs() as logs:
        for _ in range(2):
            async with GroupCommit(database_url) as fresh:
                await box_office.submit_all(fresh, [box_office.reserve(event_id, buyer)])
    told = [entry["stream"] for entry in logs if entry["event"] == "a snapshot can't be read"]
    assert told == [str(event_id)]
    assert (await box_office.judged_history(connection)).types(event_id)[-1] == "TicketsHeld"
    await job.work(at_work)
    assert await box_office.only(connection, VERSION, id=event_id) == 62
    kept = await snapshots.newest(connection, event_id)
    assert kept
    told_events = (await box_office.judged_history(connection)).events
    assert snapshot(kept) == snapshot(told_events[event_id])
