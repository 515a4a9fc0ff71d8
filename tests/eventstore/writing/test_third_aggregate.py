"""What a command reads is for the command to name: a third aggregate needs nothing of the event store."""

from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from domain.commands import Actor, CreateEvent
from domain.decide import DECISIONS
from domain.errors import EventNotFound, ReservationNotFound
from eventstore import snapshots
from eventstore.postgres.connections import Connection
from eventstore.writing.aggregate_cache import load
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from tests import box_office
from tests.domain.given_when_then import snapshot
from tests.eventstore.writing.waiting_list import JoinWaitingList, TicketsAreLeft, WaitingList, join, list_id

REFUSED = "SELECT array_agg(command || ' ' || code ORDER BY position) FROM refusals WHERE event_id = %(id)s"
ROWS_OF_ITS_GROUP = (
    "SELECT count(*) FROM stored_events WHERE xmin = (SELECT xmin FROM stored_events WHERE topic = %(topic)s)"
)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line in the table of contents of all decisions."""
    monkeypatch.setitem(DECISIONS, JoinWaitingList, join)


@pytest.fixture
async def event(connection: Connection, commands: GroupCommit) -> CreateEvent:
    """One ticket is for sale."""
    (organiser,) = await box_office.register(connection, 1)
    event = box_office.create(organiser, capacity=1)
    await commands.submit(event)
    return event


def ask_to_wait(event_id: UUID, buyer: UUID) -> JoinWaitingList:
    return JoinWaitingList(event_id=event_id, request_id=uuid4(), actor=Actor(buyer))


async def waiting(connection: Connection, event: CreateEvent) -> WaitingList:
    waiting_list = await load(connection, list_id(event.event_id))
    assert isinstance(waiting_list, WaitingList)
    return waiting_list


async def test_it_is_recorded_beside_a_purchase(
    connection: Connection, commands: GroupCommit, event: CreateEvent
) -> None:
    early, first, second, third = await box_office.register(connection, 4)
    with pytest.raises(TicketsAreLeft):
        await commands.submit(ask_to_wait(event.event_id, early))
    asked = [
        box_office.reserve(event.event_id, first),
        ask_to_wait(event.event_id, second),
        ask_to_wait(event.event_id, third),
        ask_to_wait(event.event_id, second),
    ]
    held, *waits = await box_office.submit_all(commands, asked)
    assert isinstance(held, Outcome)
    assert [wait.answer.buyer_ids for wait in waits if isinstance(wait, Outcome)] == [
        (second,),
        (second, third),
        (second, third),
    ]
    told = await box_office.judged_history(connection)
    assert told.types(list_id(event.event_id)) == ["WaitingListOpened", "WaitingListJoined", "WaitingListJoined"]
    assert await box_office.only(connection, ROWS_OF_ITS_GROUP, topic="ReservationPlaced") == 5, "all in one group"
    assert await box_office.only(connection, REFUSED, id=event.event_id) == ["JoinWaitingList tickets-are-left"]


async def test_every_process_has_it_from_memory_and_what_others_wrote(
    database_url: str, connection: Connection, commands: GroupCommit, event: CreateEvent
) -> None:
    buyers = await box_office.register(connection, 9)
    await commands.submit(box_office.reserve(event.event_id, buyers[0]))
    async with GroupCommit(database_url) as other:
        for number, buyer in enumerate(buyers):
            process = (commands, other)[number % 2]
            answer = (await process.submit(ask_to_wait(event.event_id, buyer))).answer
            assert answer == (tuple(buyers[: number + 1]),)
            again = await process.submit(ask_to_wait(event.event_id, buyer))
            assert again.answer == answer
    assert (await waiting(connection, event)).buyer_ids == tuple(buyers)


async def test_it_is_loaded_from_a_snapshot(
    database_url: str,
    connection: Connection,
    worker: Connection,
    commands: GroupCommit,
    event: CreateEvent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, third = await box_office.register(connection, 3)
    await commands.submit(box_office.reserve(event.event_id, first))
    last = await commands.submit(ask_to_wait(event.event_id, second))
    monkeypatch.setattr(snapshots, "MIN_INTERVAL_VERSIONS", 2)
    assert list_id(event.event_id) in await snapshots.grown_streams(connection, 0, last.position)
    kept = await waiting(worker, event)
    assert snapshots.difference(kept, snapshots.pack(kept)) is None
    whole = snapshot(kept)
    # What only the snapshot says shows that it was read.
    kept.buyer_ids = (*kept.buyer_ids, first)
    assert snapshots.difference(await waiting(connection, event), snapshots.pack(kept)) == "buyer_ids"
    await snapshots.keep(worker, kept, last.position)
    restored = await waiting(connection, event)
    assert snapshot(restored) == whole | {"buyer_ids": (second, first)}
    async with GroupCommit(database_url) as process:
        answer = (await process.submit(ask_to_wait(event.event_id, third))).answer
    assert answer == ((second, first, third),)


async def test_no_stream_is_taken_for_one_of_another_kind(
    connection: Connection, commands: GroupCommit, event: CreateEvent
) -> None:
    """Whatever ids a command names, and whatever else is in its group."""
    buyer, other = await box_office.register(connection, 2)
    wish = box_office.reserve(event.event_id, buyer)
    await commands.submit(wish)
    await commands.submit(ask_to_wait(event.event_id, other))
    pay = box_office.pay(wish)
    answers = await box_office.submit_all(
        commands,
        [
            ask_to_wait(wish.reservation_id, other),
            box_office.change(list_id(event.event_id), event.actor.account_id, title="Mine"),
            box_office.reserve(list_id(event.event_id), other),
            replace(pay, reservation_id=event.event_id),
            replace(pay, reservation_id=list_id(event.event_id)),
            pay,
        ],
    )
    kinds = [EventNotFound, EventNotFound, EventNotFound, ReservationNotFound, ReservationNotFound, Outcome]
    assert [type(answer) for answer in answers] == kinds
