"""A command sent twice records once: by its key, whoever gets it and whatever came in between."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from domain.commands import Command, CreateEvent
from domain.errors import IdempotencyKeyReused, LimitPerBuyer, SoldOut
from domain.event_facts import EventCancelled, EventCreated, TicketsHeld
from domain.reservation import ReservationPlaced
from domain.ticketed_event import EventRecord
from eventstore.postgres.connections import Connection
from eventstore.reading import head
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from tests import box_office
from tests.box_office import key, reservation


class Two(NamedTuple):
    """Two processes, and an event that both know."""

    one: GroupCommit
    other: GroupCommit
    event: CreateEvent
    buyer: UUID

    @property
    def event_id(self) -> UUID:
        return self.event.event_id


@pytest.fixture
async def two(database_url: str, connection: Connection, commands: GroupCommit) -> AsyncIterator[Two]:
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser, capacity=50, max_per_buyer=50)
    async with GroupCommit(database_url) as other:
        await commands.submit(event)
        yield Two(commands, other, event, buyer)


def again(command: Command) -> Command:
    """The same wish in another request."""
    return replace(command, request_id=uuid4())


async def test_a_replay_is_the_first_answer_whatever_came_since(two: Two, connection: Connection) -> None:
    wish = box_office.reserve(two.event_id, two.buyer, idempotency=key("k"))
    first = await two.one.submit(wish)
    await two.one.submit(box_office.pay(wish))
    for process in (two.one, two.other):
        replayed = await process.submit(again(wish))
        assert replayed == first._replace(replayed=True, recorded_bytes=0, decided_at=replayed.decided_at)
        assert reservation(replayed).status == "reserved"
    assert await head(connection) == 5


async def test_each_kind_of_command_is_replayed_by_its_key(two: Two, connection: Connection) -> None:
    organiser = two.event.actor.account_id
    wish, other_wish = (box_office.reserve(two.event_id, two.buyer) for _ in range(2))
    asked: list[Command] = [
        box_office.create(organiser),
        replace(wish, idempotency=key("1")),
        replace(other_wish, idempotency=key("2")),
        replace(box_office.pay(wish), idempotency=key("3")),
        replace(box_office.cancel(other_wish), idempotency=key("4")),
        replace(box_office.cancel(wish), idempotency=key("5")),
        replace(box_office.cancel_event(two.event_id, organiser), idempotency=key("6")),
    ]
    asked[0] = replace(asked[0], idempotency=key("0"))
    first = [await two.one.submit(command) for command in asked]
    assert not any(outcome.replayed for outcome in first)
    end = await head(connection)
    replays = [await two.other.submit(again(command)) for command in asked]
    assert [(replay.position, replay.replayed) for replay in replays] == [(outcome.position, True) for outcome in first]
    statuses = [reservation(replay).status for replay in replays[1:6]]
    assert statuses == ["reserved", "reserved", "paid", "cancelled", "cancelled"]
    assert await head(connection) == end


async def test_a_key_that_came_with_another_body_is_refused(two: Two, connection: Connection) -> None:
    wish = box_office.reserve(two.event_id, two.buyer, idempotency=key("k", "one ticket"))
    await two.one.submit(wish)
    other_body = replace(wish, quantity=2, idempotency=key("k", "two tickets"))
    for process in (two.one, two.other):
        with pytest.raises(IdempotencyKeyReused):
            await process.submit(again(other_body))
    assert await head(connection) == 3


async def test_the_key_is_looked_up_before_every_rule(two: Two, connection: Connection) -> None:
    wish = box_office.reserve(two.event_id, two.buyer, quantity=50, idempotency=key("k"))
    first = await two.one.submit(wish)
    with pytest.raises(LimitPerBuyer):
        await two.one.submit(box_office.reserve(two.event_id, two.buyer))
    await two.one.submit(box_office.cancel_event(two.event_id, two.event.actor.account_id))
    assert (await two.other.submit(again(wish))).position == first.position


async def test_a_refusal_is_not_remembered(two: Two, connection: Connection) -> None:
    (other_buyer,) = await box_office.register(connection, 1)
    taking = box_office.reserve(two.event_id, other_buyer, quantity=50)
    await two.one.submit(taking)
    wish = box_office.reserve(two.event_id, two.buyer, idempotency=key("k"))
    with pytest.raises(SoldOut):
        await two.one.submit(wish)
    await two.one.submit(box_office.cancel(taking))
    outcome = await two.one.submit(again(wish))
    assert (reservation(outcome).status, outcome.replayed) == ("reserved", False)


async def test_twenty_at_once_with_one_key_make_one_reservation(two: Two, connection: Connection) -> None:
    wish = box_office.reserve(two.event_id, two.buyer, idempotency=key("k"))
    sent = [again(wish) for _ in range(20)]
    answers = await asyncio.gather(
        box_office.submit_all(two.one, sent[:10]), box_office.submit_all(two.other, sent[10:])
    )
    outcomes = [answer for some in answers for answer in some if isinstance(answer, Outcome)]
    assert len(outcomes) == 20
    assert {outcome.position for outcome in outcomes} == {3}
    assert [outcome.replayed for outcome in outcomes].count(False) == 1
    assert len({repr(outcome.answer) for outcome in outcomes}) == 1
    assert (await box_office.judged_history(connection)).count(TicketsHeld) == 1


async def test_twenty_at_once_without_a_key_meet_the_limit(two: Two, connection: Connection) -> None:
    event = box_office.create(two.event.actor.account_id, max_per_buyer=1)
    await two.one.submit(event)
    wishes = [box_office.reserve(event.event_id, two.buyer) for _ in range(20)]
    answers = await asyncio.gather(
        box_office.submit_all(two.one, wishes[:10]), box_office.submit_all(two.other, wishes[10:])
    )
    kinds = [answer for some in answers for answer in some]
    assert (box_office.count(kinds, Outcome), box_office.count(kinds, LimitPerBuyer)) == (1, 19)
    reserved = next(reservation(a).placed.originator_id for a in kinds if isinstance(a, Outcome))
    assert all(a.reservation_id == reserved for a in kinds if isinstance(a, LimitPerBuyer))


async def test_one_key_with_two_events_at_once_makes_one_reservation(two: Two, connection: Connection) -> None:
    """The two lock different events; what they share is the id that both derive from the key."""
    for number in range(10):
        events = [box_office.create(two.event.actor.account_id) for _ in range(2)]
        await box_office.submit_all(two.one, events)
        reservation_id = uuid4()
        wishes = [
            box_office.reserve(
                event.event_id,
                two.buyer,
                reservation_id=reservation_id,
                idempotency=key(str(number), body=str(event.event_id)),
            )
            for event in events
        ]
        with capture_logs() as logs:
            answers = await asyncio.gather(
                two.one.submit(wishes[0]), two.other.submit(wishes[1]), return_exceptions=True
            )
        assert sorted(type(answer).__name__ for answer in answers) == ["IdempotencyKeyReused", "Outcome"]
        assert logs == [], "the second waits for the first, so that no group fails"
    told = await box_office.judged_history(connection)
    assert (told.count(ReservationPlaced), told.count(TicketsHeld)) == (10, 10)


async def test_one_key_makes_one_event_however_often_it_is_sent(two: Two, connection: Connection) -> None:
    wish = replace(box_office.create(two.event.actor.account_id), idempotency=key("k"))
    answers = await asyncio.gather(*(process.submit(again(wish)) for process in (two.one, two.other) for _ in range(5)))
    assert [answer.replayed for answer in answers].count(False) == 1
    assert all(isinstance(answer.answer, EventRecord) for answer in answers)
    assert (await box_office.judged_history(connection)).count(EventCreated) == 2


async def test_an_event_is_cancelled_once_by_two_processes(two: Two, connection: Connection) -> None:
    organiser = two.event.actor.account_id
    answers = await asyncio.gather(
        *(process.submit(box_office.cancel_event(two.event_id, organiser)) for process in (two.one, two.other))
    )
    assert [answer.position for answer in answers] == [2, 2]
    assert (await box_office.judged_history(connection)).count(EventCancelled) == 1
