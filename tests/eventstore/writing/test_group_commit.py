"""Commands go in groups, and each gets an answer of its own; what waits is bounded; closing answers what waits."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.commands import Command, ReserveTickets
from domain.errors import (
    AccountClosed,
    EventNotFound,
    HoldExpired,
    LimitPerBuyer,
    Refusal,
    ReservationNotFound,
    SoldOut,
)
from eventstore.errors import DecisionFailed, Overloaded
from eventstore.postgres.connections import Connection, connect
from eventstore.reading import head
from eventstore.writing import group_transaction
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from eventstore.writing.group_writer import Writer
from tests import box_office

GROUPS = "SELECT count(DISTINCT xmin::text) FROM stored_events WHERE notification_id > %(after)s"


async def on_sale(connection: Connection, commands: GroupCommit, **changes: Any) -> UUID:
    """A new event."""
    (organiser,) = await box_office.register(connection, 1)
    event = box_office.create(organiser, **changes)
    await commands.submit(event)
    return event.event_id


async def test_commands_that_wait_together_are_recorded_together(connection: Connection, commands: GroupCommit) -> None:
    event_id = await on_sale(connection, commands)
    buyers = await box_office.register(connection, 60)
    answers = await box_office.submit_all(commands, [box_office.reserve(event_id, buyer) for buyer in buyers])
    assert [answer.position for answer in answers if isinstance(answer, Outcome)] == list(range(3, 123, 2))
    assert await box_office.only(connection, GROUPS, after=1) == 1


async def test_a_group_is_bounded(database_url: str, connection: Connection) -> None:
    async with GroupCommit(database_url, group_commands=7) as commands:
        event_id = await on_sale(connection, commands)
        buyers = await box_office.register(connection, 60)
        await box_office.submit_all(commands, [box_office.reserve(event_id, buyer) for buyer in buyers])
    largest = "SELECT max(n) FROM (SELECT count(*) AS n FROM stored_events GROUP BY xmin) AS groups"
    assert await box_office.only(connection, largest) == 14
    assert await box_office.only(connection, GROUPS, after=1) == 9


async def test_a_group_is_bounded_in_time(
    connection: Connection, commands: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    organisers = await box_office.register(connection, 100)
    monkeypatch.setattr(group_transaction, "GROUP_SECONDS", 0.005)
    # Each asks for its name, and takes it: two trips to a server that may be far away.
    answers = await box_office.submit_all(commands, [box_office.create(organiser) for organiser in organisers])
    assert box_office.count(answers, Outcome) == 100
    assert await box_office.only(connection, GROUPS, after=0) > 2
    assert len((await box_office.judged_history(connection)).records) == 100


async def test_each_command_gets_its_own_answer(connection: Connection, commands: GroupCommit) -> None:
    event_id = await on_sale(connection, commands, capacity=2, max_per_buyer=2)
    ann, bob, cleo = await box_office.register(connection, 3)
    anns, again, gone = (box_office.reserve(event_id, buyer) for buyer in (ann, ann, UUID(int=1)))
    asked: list[Command] = [
        anns,
        box_office.reserve(event_id, cleo, quantity=3),
        gone,
        box_office.reserve(UUID(int=2), bob),
        box_office.reserve(event_id, bob),
        again,
        box_office.pay(anns),
        box_office.pay(replace(anns, reservation_id=UUID(int=3))),
        box_office.cancel(replace(anns, actor=again.actor)),
    ]
    await commands.submit(anns)
    answers = await box_office.submit_all(commands, asked[1:])
    assert [type(answer) for answer in answers] == [
        LimitPerBuyer,
        AccountClosed,
        EventNotFound,
        Outcome,
        SoldOut,
        Outcome,
        ReservationNotFound,
        Outcome,
    ]
    told = await box_office.judged_history(connection)
    assert told.types(anns.reservation_id) == ["ReservationPlaced", "ReservationPaid", "ReservationCancelled"]


async def test_an_answer_tells_where_the_history_makes_it_true(connection: Connection, commands: GroupCommit) -> None:
    event_id = await on_sale(connection, commands)
    (buyer,) = await box_office.register(connection, 1)
    wish = box_office.reserve(event_id, buyer)
    placed = await commands.submit(wish)
    paid = await commands.submit(box_office.pay(wish, "r1"))
    paid_again = await commands.submit(box_office.pay(wish, "r1"))
    assert (placed.position, paid.position, paid_again.position) == (3, 5, 5)
    assert [box_office.reservation(answer).status for answer in (placed, paid, paid_again)] == [
        "reserved",
        "paid",
        "paid",
    ]
    assert not paid_again.replayed
    assert await head(connection) == 5


async def test_a_group_in_which_all_is_refused_records_nothing(connection: Connection, commands: GroupCommit) -> None:
    event_id = await on_sale(connection, commands, max_per_buyer=1)
    buyers = await box_office.register(connection, 20)
    answers = await box_office.submit_all(commands, [box_office.reserve(event_id, buyer, 2) for buyer in buyers])
    assert box_office.count(answers, LimitPerBuyer) == 20
    assert await head(connection) == 1


async def test_a_bug_in_one_decision_fails_that_command_alone(connection: Connection, commands: GroupCommit) -> None:
    event_id = await on_sale(connection, commands)
    buyers = await box_office.register(connection, 21)
    wishes = [box_office.reserve(event_id, buyer) for buyer in buyers]
    malformed: Any = "many"
    wishes[10] = replace(wishes[10], quantity=malformed)
    answers = await box_office.submit_all(commands, wishes)
    assert [type(answer) for answer in answers] == [Outcome] * 10 + [DecisionFailed] + [Outcome] * 10
    assert await box_office.only(connection, GROUPS, after=1) == 1
    assert len((await box_office.judged_history(connection)).records) == 41


async def test_no_bug_stops_those_who_come_after(connection: Connection, commands: GroupCommit) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    without_tickets = box_office.create(organiser, ticket_types=())
    await commands.submit(without_tickets)
    with pytest.raises(DecisionFailed) as failed:
        await commands.submit(box_office.reserve(without_tickets.event_id, buyer))
    assert isinstance(failed.value.__cause__, StopIteration), "which no future takes for an answer"
    event_id = await on_sale(connection, commands)
    assert isinstance(await commands.submit(box_office.reserve(event_id, buyer)), Outcome)


async def test_what_postgresql_refuses_fails_that_command_alone(connection: Connection, commands: GroupCommit) -> None:
    event_id = await on_sale(connection, commands)
    buyers = await box_office.register(connection, 11)
    asked: list[Any] = [box_office.reserve(event_id, buyer) for buyer in buyers]
    asked[5] = box_office.create(buyers[5], title="A title with \0 in it")
    answers = await box_office.submit_all(commands, asked)
    assert [type(answer) for answer in answers] == [Outcome] * 5 + [DecisionFailed] + [Outcome] * 5
    assert len((await box_office.judged_history(connection)).records) == 21


async def test_a_conflict_fails_that_command_alone(connection: Connection, commands: GroupCommit) -> None:
    event_id = await on_sale(connection, commands, max_per_buyer=2)
    buyers = await box_office.register(connection, 5)
    wishes = [box_office.reserve(event_id, buyer) for buyer in buyers]
    await commands.submit(wishes[2])
    taken = replace(box_office.reserve(event_id, buyers[2]), reservation_id=wishes[2].reservation_id)
    answers = await box_office.submit_all(commands, [*wishes[:2], taken, *wishes[3:]])
    assert [isinstance(answer, Outcome) for answer in answers] == [True, True, False, True, True]
    assert isinstance(answers[2], Exception)
    assert not isinstance(answers[2], Refusal), "an id that was taken is nobody's fault but ours"
    told = await box_office.judged_history(connection)
    assert len(told.records) == 11
    assert told.types(wishes[2].reservation_id) == ["ReservationPlaced"]


async def fill_queue(commands: GroupCommit, wishes: list[ReserveTickets]) -> list[asyncio.Task[Outcome]]:
    """Send them while the event is locked, and let each reach the queue."""
    waiting = [asyncio.create_task(commands.submit(wish)) for wish in wishes]
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    return waiting


async def test_the_queue_is_bounded(database_url: str, connection: Connection) -> None:
    async with GroupCommit(database_url, group_commands=4, queue_commands=10) as commands:
        event_id = await on_sale(connection, commands)
        buyers = await box_office.register(connection, 12)
        wishes = [box_office.reserve(event_id, buyer) for buyer in buyers]
        await box_office.lock_event(connection, event_id)
        waiting = await fill_queue(commands, wishes[:10])
        with pytest.raises(Overloaded) as overloaded:
            await commands.submit(wishes[10])
        assert overloaded.value.retry_after_seconds >= 1
        await box_office.unlock(connection)
        assert box_office.count(await asyncio.gather(*waiting), Outcome) == 10
        assert (await commands.submit(wishes[11])).position == 23
        told = await box_office.judged_history(connection)
        assert wishes[10].reservation_id not in told.streams


async def test_clients_that_give_up_take_back_what_no_group_has_begun_with(
    database_url: str, connection: Connection
) -> None:
    async with GroupCommit(database_url, group_commands=4, queue_commands=10) as commands:
        event_id = await on_sale(connection, commands)
        buyers = await box_office.register(connection, 11)
        wishes = [box_office.reserve(event_id, buyer) for buyer in buyers]
        await box_office.lock_event(connection, event_id)
        waiting = await fill_queue(commands, wishes[:10])
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        with pytest.raises(Overloaded):
            await commands.submit(wishes[10])
        await box_office.unlock(connection)
    told = await box_office.judged_history(connection)
    assert all(told.types(wish.reservation_id) == ["ReservationPlaced"] for wish in wishes[:4])
    assert len(told.records) == 9


async def test_events_that_are_being_loaded_count_as_waiting(database_url: str, connection: Connection) -> None:
    async with GroupCommit(database_url, queue_commands=3) as commands:
        (buyer,) = await box_office.register(connection, 1)
        wishes = [box_office.reserve(UUID(int=number), buyer) for number in range(4)]
        answers = await box_office.submit_all(commands, wishes)
        assert [type(answer) for answer in answers] == [EventNotFound] * 3 + [Overloaded]
        again = await box_office.submit_all(commands, wishes[:3])
        assert box_office.count(again, EventNotFound) == 3


async def test_a_client_that_disconnects_does_not_cancel_the_group(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    event_id = await on_sale(connection, commands)
    buyers = await box_office.register(connection, 5)
    wishes = [box_office.reserve(event_id, buyer) for buyer in buyers]
    async with await connect(database_url) as other:
        await box_office.lock_event(other, event_id)
        waiting = await fill_queue(commands, wishes)
        waiting[2].cancel()
        await asyncio.wait([waiting[2]])
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Outcome] * 2 + [asyncio.CancelledError] + [Outcome] * 2
    told = await box_office.judged_history(connection)
    assert told.types(wishes[2].reservation_id) == ["ReservationPlaced"]


async def test_closing_answers_what_waits_and_takes_nothing_more(database_url: str, connection: Connection) -> None:
    commands = GroupCommit(database_url, group_commands=4)
    async with commands:
        event_id = await on_sale(connection, commands)
        buyers = await box_office.register(connection, 21)
        wishes = [box_office.reserve(event_id, buyer) for buyer in buyers]
        await box_office.lock_event(connection, event_id)
        waiting = await fill_queue(commands, wishes[:20])
        closing = asyncio.create_task(commands.__aexit__())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await commands.submit(wishes[20])
        await box_office.unlock(connection)
        await closing
        assert all(task.done() for task in waiting)
        assert box_office.count([task.result() for task in waiting], Outcome) == 20
    assert len((await box_office.judged_history(connection)).records) == 41


async def test_what_postgresql_knows_of_us_is_closed_with_us(database_url: str, connection: Connection) -> None:
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with GroupCommit(database_url) as commands:
        await on_sale(connection, commands)
        assert await box_office.only(connection, others) > 0

    async def gone() -> bool:
        return bool(await box_office.only(connection, others) == 0)

    assert await box_office.until(gone)


async def test_a_reservation_knows_its_event(connection: Connection, commands: GroupCommit) -> None:
    event_id = await on_sale(connection, commands)
    (buyer,) = await box_office.register(connection, 1)
    wish = box_office.reserve(event_id, buyer)
    for unknown in (wish.reservation_id, event_id):
        with pytest.raises(ReservationNotFound):
            await commands.event_of(unknown)
    await commands.submit(wish)
    assert await commands.event_of(wish.reservation_id) == event_id


async def test_a_command_for_anothers_event_finds_no_reservation(connection: Connection, commands: GroupCommit) -> None:
    event_id, other_id = [await on_sale(connection, commands) for _ in range(2)]
    (buyer,) = await box_office.register(connection, 1)
    wish = box_office.reserve(event_id, buyer)
    await commands.submit(wish)
    for mistaken in (other_id, wish.reservation_id):
        with pytest.raises(ReservationNotFound):
            await commands.submit(replace(box_office.pay(wish), event_id=mistaken))
    assert await head(connection) == 4


async def test_payment_is_refused_once_the_hold_is_over(connection: Connection, commands: GroupCommit) -> None:
    event_id = await on_sale(connection, commands, hold_seconds=1)
    (buyer,) = await box_office.register(connection, 1)
    wish = box_office.reserve(event_id, buyer)
    deadline = box_office.reservation(await commands.submit(wish)).placed.hold_expires_at

    async def over() -> bool:
        return bool(await box_office.only(connection, "SELECT clock_timestamp() >= %(at)s", at=deadline))

    await box_office.until(over)
    with pytest.raises(HoldExpired):
        await commands.submit(box_office.pay(wish))


async def test_a_lane_outlives_whatever_its_writer_does(
    connection: Connection, commands: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = await on_sale(connection, commands)
    one, other = await box_office.register(connection, 2)

    async def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "record", cancelled)
        with pytest.raises(DecisionFailed):
            await commands.submit(box_office.reserve(event_id, one))
    assert isinstance(await commands.submit(box_office.reserve(event_id, other)), Outcome)
