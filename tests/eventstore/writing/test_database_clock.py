"""Time comes from the database's clock, read once the event is locked; no process's own clock decides anything."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import EventEnded, HoldExpired, SalesNotOpen
from domain.event_facts import SalesWindow
from eventstore.postgres.connections import Connection
from eventstore.writing.group_commit import GroupCommit
from tests import box_office
from tests.box_office import reservation
from tests.settable_clock import Clock, settable_clock

NOW = "SELECT clock_timestamp()"
WAITING = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid <> pg_backend_pid()"


@pytest.fixture
async def clock(database_url: str) -> AsyncIterator[Clock]:
    async with settable_clock(database_url) as clock:
        yield clock


async def test_the_clock_is_read_after_the_lock_was_waited_for(connection: Connection, commands: GroupCommit) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser)
    await commands.submit(event)
    await box_office.lock_event(connection, event.event_id)
    waiting = asyncio.create_task(commands.submit(box_office.reserve(event.event_id, buyer)))

    async def waits() -> bool:
        return bool(await box_office.only(connection, WAITING))

    await box_office.until(waits)
    before = await box_office.only(connection, NOW)
    await box_office.unlock(connection)
    assert before < reservation(await waiting).placed.timestamp < await box_office.only(connection, NOW)


async def test_a_hold_ends_exactly_hold_seconds_after_it_began(connection: Connection, commands: GroupCommit) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    for hold_seconds in (1, 120, 86_400):
        event = box_office.create(organiser, hold_seconds=hold_seconds)
        await commands.submit(event)
        placed = reservation(await commands.submit(box_office.reserve(event.event_id, buyer))).placed
        assert placed.hold_expires_at - placed.timestamp == timedelta(seconds=hold_seconds)


async def test_all_that_one_command_records_has_one_time(connection: Connection, commands: GroupCommit) -> None:
    organiser, *buyers = await box_office.register(connection, 6)
    event = box_office.create(organiser)
    await commands.submit(event)
    await box_office.submit_all(commands, [box_office.reserve(event.event_id, buyer) for buyer in buyers])
    told = await box_office.judged_history(connection)
    times = {record.domain_event.timestamp for record in told.records[1:]}
    assert len(times) == 1, "a group is decided at one moment"
    assert times.pop() > told.records[0].domain_event.timestamp


@pytest.mark.parametrize("hours", [-5, 5])
async def test_no_process_clock_decides(
    connection: Connection, commands: GroupCommit, clock: Clock, hours: int
) -> None:
    """The database's clock is hours away from ours, and all goes by the database's."""
    organiser, ann, bob = await box_office.register(connection, 3)
    await clock.shift(hours=hours)
    event = box_office.create(organiser, max_per_buyer=2)
    await commands.submit(event)
    anns = box_office.reserve(event.event_id, ann)
    placed = reservation(await commands.submit(anns)).placed
    off = placed.timestamp - datetime.now(UTC)
    assert abs(off - timedelta(hours=hours)) < timedelta(minutes=5)
    assert placed.hold_expires_at == placed.timestamp + timedelta(seconds=120)
    await clock.shift(hours=hours, seconds=119)
    await commands.submit(box_office.pay(anns))
    bobs = box_office.reserve(event.event_id, bob)
    await commands.submit(bobs)
    await clock.shift(hours=hours, seconds=119 + 121)
    with pytest.raises(HoldExpired):
        await commands.submit(box_office.pay(bobs))


async def test_the_sales_window_goes_by_the_database(
    connection: Connection, commands: GroupCommit, clock: Clock
) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    opening = SalesWindow(sales_open_at=box_office.TOMORROW - timedelta(hours=1))
    event = box_office.create(organiser, sales_window=opening)
    await commands.submit(event)
    with pytest.raises(SalesNotOpen):
        await commands.submit(box_office.reserve(event.event_id, buyer))
    await clock.shift(days=1)
    await commands.submit(box_office.reserve(event.event_id, buyer))
    await clock.shift(days=2)
    with pytest.raises(EventEnded):
        await commands.submit(box_office.reserve(event.event_id, buyer))


async def test_after_a_jump_forward_and_back_holds_are_longer_and_never_shorter(
    connection: Connection, commands: GroupCommit, clock: Clock
) -> None:
    """By the event's own time, which stands still until the clock has caught up, they are as long as ever."""
    organiser, ann, bob, cleo = await box_office.register(connection, 4)
    event = box_office.create(organiser)
    await commands.submit(event)
    await clock.shift(hours=1)
    jumped = reservation(await commands.submit(box_office.reserve(event.event_id, ann))).placed
    await clock.shift(hours=0)
    bobs, cleos = (box_office.reserve(event.event_id, buyer) for buyer in (bob, cleo))
    for wish in (bobs, cleos):
        placed = reservation(await commands.submit(wish)).placed
        assert (placed.timestamp, placed.hold_expires_at) == (jumped.timestamp, jumped.hold_expires_at)
        assert placed.hold_expires_at - datetime.now(UTC) > timedelta(minutes=55)
    expired = await commands.submit(box_office.expire(cleos))
    assert reservation(expired).status == "reserved", "nobody's hold is ended before its deadline"
    await clock.shift(minutes=55)
    await commands.submit(box_office.pay(bobs))
    await clock.shift(hours=1, seconds=121)
    with pytest.raises(HoldExpired):
        await commands.submit(box_office.pay(cleos))
    await box_office.judged_history(connection)


async def test_time_never_runs_backwards_in_a_stream(
    database_url: str, connection: Connection, commands: GroupCommit, clock: Clock
) -> None:
    organiser, ann, bob, cleo = await box_office.register(connection, 4)
    event = box_office.create(organiser)
    await clock.shift(hours=1)
    await commands.submit(event)
    first = reservation(await commands.submit(box_office.reserve(event.event_id, ann))).placed
    await clock.shift(hours=-1)
    second = reservation(await commands.submit(box_office.reserve(event.event_id, bob))).placed
    async with GroupCommit(database_url) as elsewhere:
        third = reservation(await elsewhere.submit(box_office.reserve(event.event_id, cleo))).placed
        other = box_office.create(organiser)
        await elsewhere.submit(other)
    assert first.timestamp == second.timestamp == third.timestamp
    assert first.hold_expires_at == second.hold_expires_at
    told = await box_office.judged_history(connection)
    assert told.streams[other.event_id][0].timestamp < first.timestamp, "between streams times may disagree"
