"""What others have recorded is known before anything is decided, however much it is and however small the cache."""

import asyncio
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import cast
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from domain import ticketed_event
from domain.decide import decide
from domain.decision import Read
from domain.errors import AccountClosed, EventNotFound, LimitPerBuyer, SoldOut
from domain.event_facts import TicketsHeld
from domain.ticketed_event import TicketedEvent
from eventstore.errors import EventBusy
from eventstore.postgres.connections import Connection, pool
from eventstore.postgres.round_trips import Trips
from eventstore.writing import aggregate_cache, group_transaction, group_writer
from eventstore.writing.aggregate_cache import AggregateCache, fold, load
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import CatchUpFirst, Group, Outcome
from eventstore.writing.refused_attempts import Keeping
from tests import box_office
from tests.domain.given_when_then import snapshot

OUR_DATABASE = "(SELECT oid FROM pg_database WHERE datname = current_database())"


async def test_two_processes_take_turns_on_one_event(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    organiser, *buyers = await box_office.register(connection, 31)
    event = box_office.create(organiser, capacity=25)
    async with GroupCommit(database_url) as other:
        with pytest.raises(EventNotFound):
            await other.submit(box_office.reserve(event.event_id, buyers[0]))
        await commands.submit(event)
        answers = []
        for process, buyer in zip([other, commands] * 15, buyers, strict=True):
            answers += await box_office.submit_all(process, [box_office.reserve(event.event_id, buyer)])
        assert [type(answer) for answer in answers] == [Outcome] * 25 + [SoldOut] * 5
        for process in (other, commands):
            with pytest.raises(LimitPerBuyer):
                await process.submit(box_office.reserve(event.event_id, buyers[0]))
    await box_office.judged_history(connection)


async def test_groups_with_many_events_wait_for_each_other_and_never_deadlock(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    """Both come to an event that a third holds, each with some of the locks that the other needs."""
    organiser, *buyers = await box_office.register(connection, 13)
    events = [box_office.create(organiser) for _ in range(20)]
    await box_office.submit_all(commands, events)
    chance = random.Random(1)
    async with GroupCommit(database_url) as other:
        await asyncio.gather(*(other.submit(box_office.reserve(e.event_id, organiser)) for e in events))
        with capture_logs() as logs:
            for one, another in pairwise(buyers):
                few = chance.sample(events, 6)
                await box_office.lock_event(connection, few[0].event_id)
                sending = [
                    asyncio.create_task(
                        box_office.submit_all(process, [box_office.reserve(e.event_id, buyer) for e in some])
                    )
                    for process, buyer, some in ((commands, one, events), (other, another, few))
                ]
                await box_office.until(lambda: two_wait(connection))
                await box_office.unlock(connection)
                for answers in await asyncio.gather(*sending):
                    assert box_office.count(answers, Outcome | LimitPerBuyer) == len(answers)
    assert logs == [], "each group went through at once"


async def two_wait(connection: Connection) -> bool:
    query = "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = "
    return bool(await box_office.only(connection, query + OUR_DATABASE))


async def test_a_tail_too_long_for_the_locks_is_caught_up_outside_of_them(
    database_url: str, connection: Connection, commands: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_transaction, "TAIL_ROWS", 50)
    monkeypatch.setattr(aggregate_cache, "LOAD_ROWS", 30)
    organiser, *buyers = await box_office.register(connection, 403)
    event, quiet = box_office.create(organiser, capacity=401), box_office.create(organiser)
    async with GroupCommit(database_url) as stale:
        await box_office.submit_all(stale, [event, quiet])
        await box_office.submit_all(commands, [box_office.reserve(event.event_id, buyer) for buyer in buyers[:400]])
        wishes = [box_office.reserve(event.event_id, buyer) for buyer in (buyers[0], buyers[400], buyers[401])]
        answers = await box_office.submit_all(stale, [*wishes, box_office.reserve(quiet.event_id, buyers[0])])
    assert [type(answer) for answer in answers] == [LimitPerBuyer, Outcome, SoldOut, Outcome]
    told = await box_office.judged_history(connection)
    assert told.count(TicketsHeld) == 402


async def test_a_tail_too_long_is_not_read_under_the_locks(
    connection: Connection, trips: Trips, commands: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_transaction, "TAIL_ROWS", 10)
    organiser, *buyers = await box_office.register(connection, 20)
    event = box_office.create(organiser)
    await commands.submit(event)
    known = await load(connection, event.event_id)
    await box_office.submit_all(commands, [box_office.reserve(event.event_id, buyer) for buyer in buyers])
    wish = box_office.reserve(event.event_id, buyers[0])
    with pytest.raises(CatchUpFirst):
        await Group(trips, {event.event_id: known}, [wish], Keeping()).answers()


async def test_an_event_that_others_never_let_catch_up_is_given_up(
    connection: Connection, commands: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (organiser,) = await box_office.register(connection, 1)
    event = box_office.create(organiser)
    await commands.submit(event)
    monkeypatch.setattr(group_writer, "TRIES", 0)
    with pytest.raises(EventBusy):
        await commands.submit(box_office.reserve(event.event_id, organiser))
    monkeypatch.undo()
    assert (await commands.submit(box_office.reserve(event.event_id, organiser))).position == 3


async def test_a_deleted_account_is_refused_at_once_everywhere(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    organiser, buyer, other = await box_office.register(connection, 3)
    event = box_office.create(organiser)
    await commands.submit(event)
    wish = box_office.reserve(event.event_id, buyer)
    await commands.submit(wish)
    await connection.execute("DELETE FROM accounts WHERE account_id = ANY(%s)", ([buyer, organiser],))
    async with GroupCommit(database_url) as elsewhere:
        for process in (commands, elsewhere):
            answers = await box_office.submit_all(
                process,
                [
                    box_office.reserve(event.event_id, buyer),
                    box_office.pay(wish),
                    box_office.cancel(wish),
                    box_office.create(organiser),
                    box_office.cancel_event(event.event_id, organiser),
                ],
            )
            assert box_office.count(answers, AccountClosed) == 5
        assert (await elsewhere.submit(box_office.reserve(event.event_id, other))).position == 5


async def test_a_group_may_have_more_events_than_fit_into_memory(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = 3 * ticketed_event.EVENT_BYTES
    monkeypatch.setattr(AggregateCache.__init__, "__defaults__", (small,))
    organiser, *buyers = await box_office.register(connection, 9)
    events = [box_office.create(organiser, capacity=7) for _ in range(12)]
    async with GroupCommit(database_url) as one, GroupCommit(database_url, group_commands=5) as other:
        created = await asyncio.gather(box_office.submit_all(one, events[:6]), box_office.submit_all(other, events[6:]))
        assert sum(box_office.count(answers, Outcome) for answers in created) == 12
        wishes = [box_office.reserve(event.event_id, buyer) for event in events for buyer in buyers]
        random.Random(1).shuffle(wishes)
        answers = await asyncio.gather(
            box_office.submit_all(one, wishes[::2]), box_office.submit_all(other, wishes[1::2])
        )
    kinds = [answer for some in answers for answer in some]
    assert (box_office.count(kinds, Outcome), box_office.count(kinds, SoldOut)) == (84, 12)
    assert (await box_office.judged_history(connection)).count(TicketsHeld) == 84


async def test_what_is_kept_is_bounded_by_the_memory_it_takes(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    organiser, *buyers = await box_office.register(connection, 41)
    events = [box_office.create(organiser) for _ in range(4)]
    await box_office.submit_all(commands, events)
    await box_office.submit_all(commands, [box_office.reserve(events[3].event_id, buyer) for buyer in buyers])
    ids = [event.event_id for event in events]
    async with pool(database_url, 2) as connections:
        cache = AggregateCache(connections, max_bytes=3 * (ticketed_event.EVENT_BYTES + ticketed_event.STOCK_BYTES))
        for event_id in ids[:3]:
            await cache.ensure(event_id)
        assert kept(cache, ids) == ids[:3]
        cache.put(ids[0], cache.get(ids[0]))
        await cache.ensure(ids[3])
        assert kept(cache, ids) == [ids[3]], "forty holds take as much as five events"
        await cache.ensure(ids[0])
        assert kept(cache, ids) == [ids[0]]
        await cache.ensure(ids[1])
        await cache.ensure(UUID(int=7))
        assert cache.get(UUID(int=7)) is None
        cache.drop(ids)
        assert kept(cache, ids) == []


def kept(cache: AggregateCache, ids: Iterable[UUID]) -> list[UUID]:
    return [event_id for event_id in ids if event_id in cache]


async def test_an_event_is_loaded_once_however_many_ask(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    (organiser,) = await box_office.register(connection, 1)
    event = box_office.create(organiser)
    await commands.submit(event)
    async with pool(database_url, 2) as connections:
        cache = AggregateCache(connections)
        await asyncio.gather(*(cache.ensure(event.event_id) for _ in range(50)))
        assert connections.get_stats()["requests_num"] == 1


@pytest.mark.parametrize("who", [0, 1])
async def test_who_gives_up_waiting_for_a_load_leaves_it_to_the_others(
    database_url: str, connection: Connection, commands: GroupCommit, who: int
) -> None:
    (organiser,) = await box_office.register(connection, 1)
    event = box_office.create(organiser)
    await commands.submit(event)
    async with pool(database_url, 2) as connections:
        cache = AggregateCache(connections)
        waiting = [asyncio.create_task(cache.ensure(event.event_id)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[who].cancel()
        await waiting[1 - who]
        assert event.event_id in cache


async def test_loading_equals_having_followed(connection: Connection, commands: GroupCommit) -> None:
    organiser, *buyers = await box_office.register(connection, 30)
    event = box_office.create(organiser, max_per_buyer=2)
    await commands.submit(event)
    wishes = [box_office.reserve(event.event_id, buyer, quantity=1 + n % 2) for n, buyer in enumerate(buyers)]
    await box_office.submit_all(commands, wishes)
    await box_office.submit_all(commands, [box_office.pay(wish) for wish in wishes[::3]])
    await box_office.submit_all(commands, [box_office.cancel(wish) for wish in wishes[::2]])
    await commands.submit(box_office.change(event.event_id, organiser, total_tickets=77, max_per_buyer=3, city="Ghent"))
    told = await box_office.judged_history(connection)
    assert snapshot(await load(connection, event.event_id)) == snapshot(told.events[event.event_id])


def test_what_an_event_takes_in_memory_counts_its_changes() -> None:
    (few, many) = (some_event(changes) for changes in (1, 100))
    # An id is an object of about 110 bytes with its place in a tuple.
    assert many.size_bytes - few.size_bytes > 99 * 100


def some_event(changes: int) -> TicketedEvent:
    """An event that was changed so often."""
    wish = box_office.create(uuid4())
    created = decide(wish, Read.of(wish, {}.get), datetime.now(UTC)).domain_events
    event = cast(TicketedEvent, fold(None, created[0]))
    for number in range(changes):
        change = box_office.change(event.id, event.created.organiser_id, max_per_buyer=number + 2)
        for domain_event in decide(change, Read((event,)), datetime.now(UTC)).domain_events:
            event = cast(TicketedEvent, fold(event, domain_event))
    return event
