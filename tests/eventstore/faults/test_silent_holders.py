"""Who has gone silent keeps no event and no position from the others, and nobody waits for a locked neighbour."""

import asyncio
from contextlib import ExitStack
from itertools import product
from typing import get_args
from uuid import UUID

import pytest

from eventstore.errors import EventBusy
from eventstore.postgres.connections import Connection, connect
from eventstore.writing import group_commit
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from tests import box_office
from tests.conftest import fresh_database
from tests.eventstore.silent_process import Where, silent_holder

HOLDS = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = %(pid)s)
"""


async def test_who_is_silent_with_a_lock_is_ended_by_those_who_wait(server_url: str, template: str) -> None:
    """Each in a database of its own, and all at once: a silent session is left in peace for a second and a half."""
    ways = list(product(get_args(Where), ("event", "positions")))
    with ExitStack() as stack:
        urls = [stack.enter_context(fresh_database(server_url, template)) for _ in ways]
        found = await asyncio.gather(
            *(sell_past_a_silent_holder(url, *way) for url, way in zip(urls, ways, strict=True)), return_exceptions=True
        )
    assert dict(zip(ways, found, strict=True)) == dict.fromkeys(ways)


async def sell_past_a_silent_holder(database_url: str, where: Where, what: str) -> None:
    async with await connect(database_url) as connection, GroupCommit(database_url) as commands:
        organiser, *buyers = await box_office.register(connection, 5)
        event, other = box_office.create(organiser), box_office.create(organiser)
        await box_office.submit_all(commands, [event, other])
        event_id = event.event_id if what == "event" else None
        async with silent_holder(database_url, where, event_id=event_id) as pid:
            await box_office.until(lambda: box_office.only(connection, HOLDS, pid=pid))
            wishes = [box_office.reserve(each.event_id, buyer) for each in (event, other) for buyer in buyers]
            async with asyncio.timeout(20):
                answers = await box_office.submit_all(commands, wishes)
            assert not await box_office.only(connection, HOLDS, pid=pid)
        assert box_office.count(answers, Outcome) == len(wishes), answers
        assert len((await box_office.judged_history(connection)).records) == 2 + 2 * len(wishes)


async def test_who_waits_for_its_turn_and_not_for_its_client_is_left_alone(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser)
    await commands.submit(event)
    await box_office.lock_event(connection, event.event_id)
    async with await connect(database_url) as asking:
        pid = connection.info.backend_pid
        waiting = asyncio.create_task(commands.submit(box_office.reserve(event.event_id, buyer)))
        blocked = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        waiter = await box_office.until(lambda: first(asking, blocked))
        assert await box_office.only(asking, "SELECT end_silent_holders(%(pid)s)", pid=waiter) is None
        assert await box_office.only(asking, HOLDS, pid=pid), "an operator at psql, with a lock of the session"
    await box_office.unlock(connection)
    assert isinstance(await waiting, Outcome)


async def first(connection: Connection, query: str) -> int | None:
    row = await (await connection.execute(query)).fetchone()
    return row[0] if row else None


async def test_an_event_that_stays_locked_costs_its_neighbours_nothing_more(
    connection: Connection, commands: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    organiser, *buyers = await box_office.register(connection, 40)
    locked, other = box_office.create(organiser), box_office.create(organiser)
    await box_office.submit_all(commands, [locked, other])
    await box_office.lock_event(connection, locked.event_id)
    held_up = asyncio.create_task(
        box_office.submit_all(commands, [box_office.reserve(locked.event_id, buyer) for buyer in buyers[:3]])
    )
    for buyer in buyers[3:]:
        assert isinstance(await commands.submit(box_office.reserve(other.event_id, buyer)), Outcome)
    assert not held_up.done(), "all of that took less than it takes to give the locked event up"
    monkeypatch.setattr(group_commit, "BUSY_SECONDS", 0)
    assert box_office.count(await held_up, EventBusy) == 3
    await box_office.unlock(connection)
    assert isinstance(await commands.submit(box_office.reserve(locked.event_id, buyers[0])), Outcome)


async def test_an_event_that_is_free_again_does_not_wait_for_one_that_is_still_locked(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    organiser, *buyers = await box_office.register(connection, 164)
    locked, hot, other = (box_office.create(organiser, capacity=200) for _ in range(3))
    async with GroupCommit(database_url, group_commands=4) as commands:
        await box_office.submit_all(commands, [locked, hot, other])
        await box_office.lock_event(connection, locked.event_id)
        async with await connect(database_url) as holder:
            await box_office.lock_event(holder, hot.event_id)
            held_up, first, neighbour = [
                asyncio.create_task(commands.submit(box_office.reserve(event.event_id, buyer)))
                for event, buyer in zip((locked, hot, other), buyers, strict=False)
            ]
            await neighbour

        async def buy(buyers: list[UUID]) -> None:
            for buyer in buyers:
                assert isinstance(await commands.submit(box_office.reserve(hot.event_id, buyer)), Outcome)

        # Twice as many at once as fit into one group, so that some are always waiting for the event.
        await asyncio.gather(first, *(buy(buyers[3:][place::8]) for place in range(8)))
        assert not held_up.done(), "all of that took less than it takes to give the locked event up"
        monkeypatch.setattr(group_commit, "BUSY_SECONDS", 0)
        with pytest.raises(EventBusy):
            await held_up
