"""Positions are dense and in commit order, whoever writes; readers see whole commands and never look back."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from domain.event_facts import TicketsHeld
from eventstore import reading
from eventstore.postgres.connections import Connection, connect
from eventstore.reading import Recorded
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from tests import box_office

ROOT = Path(__file__).parents[3]
APPEND_ONE = "SELECT append(ARRAY[%(id)s], '{1}', '{Test}', '{x}', '{1}', %(lock_class)s, %(lock_key)s)"


@asynccontextmanager
async def reader(database_url: str) -> AsyncIterator[list[Recorded]]:
    """Reads what comes, a few domain events at a time, until the block has ended and all is read."""
    seen: list[Recorded] = []
    ended = asyncio.Event()

    async def read() -> None:
        async with await connect(database_url) as connection:
            while True:
                last = ended.is_set()
                position = seen[-1].position if seen else 0
                page = await reading.read_after(connection, position, random.randint(1, 7))
                assert [record.position for record in page] == [*range(position + 1, position + 1 + len(page))]
                assert not page or page[-1].position == page[-1].command_position
                seen.extend(page)
                if last and not page:
                    return

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        try:
            yield seen
        finally:
            ended.set()


async def on_sale(connection: Connection, commands: GroupCommit, events: int, capacity: int = 100) -> list[UUID]:
    """So many events of one organiser."""
    (organiser,) = await box_office.register(connection, 1)
    created = [box_office.create(organiser, capacity=capacity) for _ in range(events)]
    await box_office.submit_all(commands, created)
    return [command.event_id for command in created]


@pytest.mark.parametrize("events", [1, 5])
async def test_a_reader_never_looks_back_while_four_write(
    database_url: str, connection: Connection, commands: GroupCommit, events: int
) -> None:
    event_ids = await on_sale(connection, commands, events)
    buyers = await box_office.register(connection, 150)
    async with AsyncExitStack() as stack:
        four = [await stack.enter_async_context(GroupCommit(database_url)) for _ in range(4)]
        seen = await stack.enter_async_context(reader(database_url))
        wishes = [box_office.reserve(event_id, buyer) for event_id in event_ids for buyer in buyers]
        answers = await asyncio.gather(
            *(box_office.submit_all(one, wishes[number::4]) for number, one in enumerate(four))
        )
    told = await box_office.judged_history(connection)
    assert told.records == seen
    assert told.count(TicketsHeld) == sum(box_office.count(some, Outcome) for some in answers) == 100 * events
    assert [event.stock.popitem()[1].available for event in told.events.values()] == [0] * events


async def test_three_processes_sell_one_event_and_others_at_once(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    event_ids = await on_sale(connection, commands, 1, capacity=200) + await on_sale(connection, commands, 2, 300)
    buyers = await box_office.register(connection, 300)
    async with reader(database_url) as seen, AsyncExitStack() as stack:
        writers = [
            await stack.enter_async_context(writer(database_url, event_ids, buyers[number::3])) for number in range(3)
        ]
        outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in writers))
    told = [msgspec.json.decode(output, type=dict[str, int]) for output, _ in outputs]
    assert all(some.keys() <= {"Outcome", "SoldOut", "LimitPerBuyer"} for some in told), told
    assert sum(some["Outcome"] for some in told) == 800
    judged = await box_office.judged_history(connection)
    assert judged.records == seen
    assert judged.count(TicketsHeld) == 800


@asynccontextmanager
async def writer(
    database_url: str, event_ids: list[UUID], buyers: list[UUID]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is ready to write and waits for the word."""
    ids = [msgspec.json.encode(some).decode() for some in (event_ids, buyers)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.eventstore.writing.other_process", database_url, *ids),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            assert process.stdout
            assert await process.stdout.readline() == b"ready\n"
            yield process
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_reading_ends_at_the_end_of_a_command(connection: Connection, commands: GroupCommit) -> None:
    (event_id,) = await on_sale(connection, commands, 1)
    buyers = await box_office.register(connection, 2)
    for buyer in buyers:
        await commands.submit(box_office.reserve(event_id, buyer))
    ends = {1: 1, 2: 3, 3: 3, 4: 5, 5: 5, 6: 5}
    for limit, end in ends.items():
        page = await reading.read_after(connection, 0, limit)
        assert [record.position for record in page] == list(range(1, end + 1))
    assert [record.command_position for record in page] == [1, 3, 3, 5, 5]
    assert [record.position for record in await reading.read_after(connection, 3, 1)] == [4, 5]
    assert await reading.read_after(connection, 5, 10) == []
    assert await reading.head(connection) == 5


async def test_an_empty_history_has_position_0(connection: Connection) -> None:
    assert await reading.head(connection) == 0
    assert await reading.read_after(connection, 0, 10) == []


async def test_an_append_that_was_rolled_back_leaves_no_hole(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    (event_id,) = await on_sale(connection, commands, 1)
    (buyer,) = await box_office.register(connection, 1)
    async with await connect(database_url) as other:
        await other.execute("BEGIN")
        await append(other, uuid4())
        assert await reading.head(other) == 2
        await other.execute("ROLLBACK")
    outcome = await commands.submit(box_office.reserve(event_id, buyer))
    assert outcome.position == 3
    assert len((await box_office.judged_history(connection)).records) == 3


async def test_who_appends_later_commits_later(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    """While somebody's append is not committed, no other gets a position, so that none is seen below another."""
    (event_id,) = await on_sale(connection, commands, 1)
    (buyer,) = await box_office.register(connection, 1)
    async with await connect(database_url) as other:
        await other.execute("BEGIN")
        await append(other, uuid4())
        waiting = asyncio.create_task(commands.submit(box_office.reserve(event_id, buyer)))
        await box_office.until(lambda: waits_for_a_lock(connection))
        assert await reading.head(connection) == 1
        assert not waiting.done()
        await other.execute("COMMIT")
        assert (await waiting).position == 4, "its two come after the one"


async def append(connection: Connection, stream_id: UUID) -> None:
    await connection.execute(APPEND_ONE, {"id": stream_id} | box_office.POSITION_LOCK)


async def waits_for_a_lock(connection: Connection) -> bool:
    query = (
        "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return bool(await box_office.only(connection, query))


async def test_each_append_tells_its_last_position_once(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    async with await connect(database_url) as listening:
        await listening.execute("LISTEN history")
        (event_id,) = await on_sale(connection, commands, 1)
        buyers = await box_office.register(connection, 3)
        await box_office.submit_all(commands, [box_office.reserve(event_id, buyer) for buyer in buyers])
        told = [notify.payload async for notify in listening.notifies(timeout=10, stop_after=2)]
    assert told == ["1", "7"], "three commands that go together make one group and one notification"


async def test_positions_and_versions_cannot_be_taken_twice(connection: Connection, commands: GroupCommit) -> None:
    (event_id,) = await on_sale(connection, commands, 1)
    insert = "INSERT INTO stored_events VALUES (%(id)s, %(version)s, 'Test', '{}', %(position)s, 9)"
    for taken in ({"id": event_id, "version": 1, "position": 2}, {"id": uuid4(), "version": 1, "position": 1}):
        with pytest.raises(psycopg.errors.UniqueViolation):
            await connection.execute(insert, taken)
