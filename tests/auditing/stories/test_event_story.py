"""The story of an event from its domain events alone: every change from what to what, and sales in sums between."""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, get_args, get_type_hints
from uuid import UUID

import msgspec
import pytest

from auditing.replay import as_of
from auditing.replay.streams import same_connection
from auditing.replay.timeline import RELEASED
from auditing.stories import story_sources
from auditing.stories.event_sentences import CLAUSES, Change
from auditing.stories.event_story import SALES, UNTOLD, EventStoryEntry, EventStoryWriter
from auditing.stories.sales_sums import SUMMED
from domain.commands import (
    AddTicketType,
    CancelEvent,
    CancelReservation,
    ChangeEvent,
    PayReservation,
    ReturnTickets,
    WithdrawReservation,
    WithholdTickets,
)
from domain.domain_event import DomainEvent
from domain.errors import EventNotFound
from domain.event_facts import TicketsReleased
from domain.inventory import TicketType
from eventstore.postgres.connections import connect
from eventstore.reading import Recorded
from projections.tables.events import EventRow
from projections.tables.ticket_types import TicketTypeRow
from tests.auditing.stories.test_story import ANN, BEN, EVENT, NOON, OLGA, STANDING, Counter
from tests.projections.histories import BoxOffice, Command, append, with_ends
from tests.projections.independent_fold import Books

ADMIN = UUID(int=77)


def story(recorded: list[Recorded], event_id: UUID = EVENT, at_a_time: int = 1_000) -> list[EventStoryEntry]:
    writer = EventStoryWriter()
    stream = [one for one in recorded if one.domain_event.originator_id == event_id]
    told: list[EventStoryEntry] = []
    for begin in range(0, len(stream), at_a_time):
        told += writer.fold(stream[begin : begin + at_a_time])
    return told + list(writer.end())


def all_types(kind: type[DomainEvent] = DomainEvent) -> Iterator[type[DomainEvent]]:
    """Every type of domain event that there is."""
    for one in kind.__subclasses__():
        if "TOPIC" in vars(one):
            yield one
        yield from all_types(one)


def test_every_type_of_an_events_domain_events_is_told_in_one_way() -> None:
    ours = {kind for kind in all_types() if kind.__module__.startswith("domain.")}
    of_events = {kind for kind in ours if not kind.TOPIC.startswith("Reservation")}
    assert {kind.TOPIC for kind in of_events} == {kind.TOPIC for kind in (*CLAUSES, *SUMMED)}
    assert not CLAUSES.keys() & SUMMED.keys()
    assert RELEASED.keys() == {*get_args(get_type_hints(TicketsReleased)["reason"])}


def test_what_is_left_untold_are_columns() -> None:
    assert {*EventRow.__struct_fields__, *TicketTypeRow.__struct_fields__} >= UNTOLD


def test_a_story_tells_who_changed_what_and_the_sales_between() -> None:
    counter = Counter(capacity=3, max_per_buyer=2)
    first = counter.reserve(ANN, 1, 2)
    counter.submit(PayReservation(**counter.asked(ANN, reservation_id=first)))
    counter.reserve(BEN, 2)
    counter.submit(ChangeEvent(**counter.asked(OLGA, capacities={STANDING: 5}, title="Concert\n2", max_per_buyer=4)))
    counter.submit(CancelReservation(**counter.asked(ANN, reservation_id=first)))
    counter.submit(CancelEvent(**counter.asked(OLGA)))
    counter.submit(WithdrawReservation(**counter.asked(None, reservation_id=UUID(int=102))))
    told = story(counter.recorded)
    assert [(entry.type, entry.first_position, entry.position) for entry in told] == [
        ("EventCreated", 1, 1),
        (SALES, 2, 7),
        ("EventDetailsChanged", 8, 10),
        ("LimitsChanged", 9, 10),
        ("CapacityChanged", 10, 10),
        (SALES, 11, 12),
        ("EventCancelled", 13, 13),
        (SALES, 14, 15),
    ]
    assert [entry.sentence for entry in told] == [
        (
            "The organiser created the event “Concert”, from 2030-05-01T17:00:00Z to 2030-05-01T19:00:00Z, "
            "with 3 tickets of Standing at 25.00 EUR."
        ),
        "In 2.0 s: Standing 3 held, 2 paid for 50.00 EUR, with 3 of 3 then taken.",
        "The organiser changed the title from “Concert” to “Concert 2”.",
        "The organiser changed the limit per buyer from 2 to 4.",
        "The organiser changed the capacity of Standing from 3 to 5, with 3 of 5 then taken.",
        "Standing 2 given back, refunds of 50.00 EUR due, with 1 of 5 then taken.",
        "The organiser cancelled the event, of which 1 of 5 tickets were taken.",
        "Standing 1 cancelled with the event, with 0 of 5 then taken.",
    ]
    capacity = told[4]
    assert capacity.changes == [Change("capacity", STANDING, 3, 5)]
    assert (capacity.actor_id, capacity.request_id) == (str(OLGA), counter.recorded[9].domain_event.request_id)
    assert (capacity.first_at, capacity.at) == (NOON + timedelta(seconds=5), NOON + timedelta(seconds=5))
    sales = told[1]
    assert (sales.first_at, sales.at, sales.actor_id) == (
        NOON + timedelta(seconds=2),
        NOON + timedelta(seconds=4),
        None,
    )
    (total,) = sales.sales
    assert (total.held, total.paid, total.revenue_minor, total.released) == (3, 2, 5000, {})


def test_what_is_for_sale_is_told_as_it_changes() -> None:
    counter = Counter(capacity=5)
    counter.reserve(ANN, 1, 2)
    counter.submit(WithholdTickets(**counter.asked(OLGA, quantity=3)))
    counter.submit(ReturnTickets(**counter.asked(OLGA, quantity=1)))
    gallery = TicketType(ticket_type_id=UUID(int=300), name="Gallery", capacity=40, amount_minor=4000, currency="EUR")
    counter.submit(AddTicketType(**counter.asked(OLGA, ticket_type=gallery)))
    counter.submit(ChangeEvent(**counter.asked(OLGA, prices={STANDING: 3000})))
    assert [entry.sentence for entry in story(counter.recorded)[2:]] == [
        "The organiser withheld 3 tickets of Standing, with 2 of 5 then taken and 3 withheld.",
        "The organiser put 1 ticket of Standing back on sale, with 2 of 5 then taken and 2 withheld.",
        "The organiser added a ticket type, with 40 tickets of Gallery at 40.00 EUR.",
        "The organiser changed the price of Standing from 25.00 EUR to 30.00 EUR.",
    ]


def test_who_is_not_the_organiser_is_named() -> None:
    counter = Counter()
    change = ChangeEvent(**counter.asked(ADMIN, hold_seconds=60, sales_close_at=NOON + timedelta(hours=1)))
    counter.submit(msgspec.structs.replace(change, actor=msgspec.structs.replace(change.actor, is_admin=True)))
    assert [entry.sentence for entry in story(counter.recorded)[1:]] == [
        f"Account {ADMIN} changed the close of sales from the event's end to 2030-05-01T13:00:00Z.",
        f"Account {ADMIN} changed the time to pay from 120 s to 60 s.",
    ]


def recorded(commands: list[Command]) -> list[Recorded]:
    numbered = [(end, it) for command, end in with_ends(commands) for it in command]
    return [Recorded(position, end, it) for position, (end, it) in enumerate(numbered, 1)]


@pytest.mark.parametrize("seed", range(4))
def test_sums_and_counts_are_what_independent_books_say(seed: int) -> None:
    office = BoxOffice(seed)
    ours = recorded(office.commands(400))
    for event_id in office.events:
        told = story(ours, event_id)
        assert list(map(comparable, told)) == list(map(comparable, story(ours, event_id, at_a_time=3)))
        books = Books()
        sums: dict[Any, int] = {}
        own = [one.position for one in ours if one.domain_event.originator_id == event_id]
        before = [bisect_left(own, entry.first_position) - 1 for entry in told[1:]]
        places = dict(zip([own[place] for place in (*before, -1)], told, strict=True))
        for one in ours:
            books.read(one.position, one.domain_event)
            it: Any = one.domain_event
            if it.originator_id != event_id:
                continue
            if type(it) in SUMMED:
                what = "buyer" if it.TOPIC == "TicketsReduced" else getattr(it, "reason", it.TOPIC)
                sums[it.ticket_type_id, what] = sums.get((it.ticket_type_id, what), 0) + it.quantity
            if entry := places.get(one.position):
                if entry.type == SALES:
                    assert summed(entry) == sums
                    sums = {}
                for row in entry.ticket_types:
                    known = books.ticket_types[row.ticket_type_id]
                    assert (row.capacity, row.reserved, row.paid) == tuple(
                        known[name] for name in ("capacity", "reserved", "paid")
                    )
        assert sums == {}


def comparable(entry: EventStoryEntry) -> Any:
    return entry._replace(sales=[vars(total) for total in entry.sales])  # type: ignore[misc]


def summed(entry: EventStoryEntry) -> dict[Any, int]:
    """The tickets of a sum by ticket type and what happened to them."""
    sums: dict[Any, int] = {}
    for total in entry.sales:
        told = {
            "TicketsHeld": total.held,
            "HoldExtended": total.held_longer,
            "TicketsSold": total.paid,
            **total.released,
        }
        sums |= {(total.ticket_type_id, what): count for what, count in told.items() if count}
    return sums


async def test_sales_are_told_as_they_were_as_of_their_position(database_url: str) -> None:
    office = BoxOffice(6)
    async with await connect(database_url) as connection:
        await append(connection, office.commands(150))
        for event_id in office.events[:2]:
            told = [one async for one in story_sources.of_event(same_connection(connection), event_id)]
            for entry, behind in zip(told, [*told[1:], None], strict=True):
                moment = await as_of.at_position(same_connection(connection), event_id, entry.position)
                assert moment.position == entry.position
                # What was changed by the same command is the next entry.
                if behind is None or behind.first_position > entry.position:
                    assert moment.ticket_types == entry.ticket_types


async def test_a_story_is_read_in_parts_and_only_as_far_as_it_is_wanted(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = BoxOffice(5)
    commands = office.commands(150)
    async with await connect(database_url) as connection:
        await append(connection, commands)
        event_id = office.events[0]
        monkeypatch.setattr("auditing.replay.streams.PART_ROWS", 3)
        told = [comparable(one) async for one in story_sources.of_event(same_connection(connection), event_id)]
        assert told == [comparable(one) for one in story(recorded(commands), event_id)]
        entries = story_sources.of_event(same_connection(connection), event_id)
        assert comparable(await anext(entries)) == told[0]
        await entries.aclose()
        with pytest.raises(EventNotFound):
            await anext(story_sources.of_event(same_connection(connection), office.new_id()))
