"""What the catalogue finds, in which order, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from eventstore.postgres.connections import WORKER_ROLE, connect
from eventstore.postgres.shared_reads import SharedReads
from projections.queries import events_queries
from projections.queries.events_queries import ShownEvent
from projections.tables.events import EventRow
from tests.projections.histories import NOON, BoxOffice, append
from tests.projections.programme import Programme

ALL = 200


async def test_an_event_comes_with_its_ticket_types_in_order(database_url: str) -> None:
    office = BoxOffice(1)
    commands = office.commands(200)
    programme = Programme()
    async with (
        await connect(database_url, role=WORKER_ROLE) as connection,
        SharedReads(database_url) as reads,
    ):
        await append(connection, commands)
        await programme.fold(connection)
        for event_id in office.events:
            found = await events_queries.event(reads.ask, event_id)
            assert found is not None
            event, state = found.event, office.aggregates[event_id]
            assert (event.event_id, event.organiser_id) == (event_id, state.created.organiser_id)
            assert (event.title, event.city, event.starts_at) == (
                state.details.title,
                state.details.city,
                state.details.starts_at,
            )
            counts = [(s.offer.ticket_type_id, s.capacity, s.held, s.sold, s.available) for s in state.stock.values()]
            assert counts == [
                (t.ticket_type_id, t.capacity, t.reserved, t.paid, t.available) for t in found.ticket_types
            ]
            assert [t.place for t in found.ticket_types] == list(range(1, len(counts) + 1))
        assert await events_queries.event(reads.ask, uuid4()) is None
        everything = _rows(await events_queries.events(connection, limit=ALL))
        assert _rows(await events_queries.first_events(reads.ask, ALL)) == everything
        assert _rows(await events_queries.first_events(reads.ask, 3)) == everything[:3]


async def test_every_listed_event_comes_with_its_tickets_and_with_its_description_where_that_is_asked_for(
    database_url: str,
) -> None:
    office = BoxOffice(2)
    commands = office.commands(200)
    async with (
        await connect(database_url, role=WORKER_ROLE) as connection,
        SharedReads(database_url) as reads,
    ):
        await append(connection, commands)
        await Programme().fold(connection)
        alone = {i: await events_queries.event(reads.ask, i) for i in office.events}
        for with_description in (False, True):
            listed = await events_queries.events(connection, with_description=with_description, limit=ALL)
            assert len(listed) == len(alone)
            for one in listed:
                same = alone[one.event.event_id]
                assert same is not None
                event = same.event if with_description else replace(same.event, description=None)
                assert one._replace(at=same.at) == same._replace(event=event)


async def test_where_nothing_is_left_the_first_hold_is_told_that_ends_due_or_not(database_url: str) -> None:
    programme, now = Programme(), NOON
    event_id = programme.announce("Two tickets", capacity=2)
    ends = []
    async with (
        await connect(database_url, role=WORKER_ROLE) as connection,
        SharedReads(database_url) as reads,
    ):
        for told, minutes in ((0, 0), (1, 1)):
            placed_at = now + timedelta(minutes=minutes)
            reservation_id = programme.reserve(event_id, programme.office.new_id(), placed_at)
            ends.append(programme.office.aggregates[reservation_id].record.placed.hold_expires_at)
            await programme.fold(connection)
            found = await events_queries.event(reads.ask, event_id)
            assert found is not None
            assert found.first_hold_ends_at == (ends[0] if told else None)


async def test_events_come_by_start_page_by_page_even_when_many_start_at_once(database_url: str) -> None:
    programme = Programme()
    for n in range(30):
        programme.announce(f"Event {n}", NOON + timedelta(days=1 + n % 3))
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await programme.fold(connection)
        everything = _rows(await events_queries.events(connection, limit=ALL))
        assert len(everything) == 30
        assert everything == sorted(everything, key=lambda row: (row.starts_at, row.event_id))
        for size in (1, 7, 30):
            pages, after = [], None
            while page := _rows(await events_queries.events(connection, after=after, limit=size)):
                assert len(page) <= size
                pages += page
                after = (page[-1].starts_at, page[-1].event_id)
            assert pages == everything


SEARCHES = {
    "jazz": {"Jazz at dawn", "All that JAZZ"},
    "dawn jazz": {"Jazz at dawn"},
    "AZZ": {"Jazz at dawn", "All that JAZZ"},
    "accordion": {"Plain"},
    "100%": {"100% Funk"},
    "%": {"100% Funk"},
    "_": {"snake_case"},
    "e_c": {"snake_case"},
    "\\": {"back\\slash"},
    "\\%": set(),
    "ærø": {"ÆRØ"},
    "' OR true --": set(),
    "jazz accordion": set(),
    "   ": {"Jazz at dawn", "All that JAZZ", "Plain", "100% Funk", "snake_case", "back\\slash", "ÆRØ"},
}


async def test_a_search_finds_every_event_with_all_its_words(database_url: str) -> None:
    programme = Programme()
    for title in ("Jazz at dawn", "All that JAZZ", "100% Funk", "snake_case", "back\\slash", "ÆRØ"):
        programme.announce(title)
    programme.announce("Plain", description="with\nAccordions")
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await programme.fold(connection)
        found = {
            q: {row.title for row in _rows(await events_queries.events(connection, q=q, limit=ALL))} for q in SEARCHES
        }
    assert found == SEARCHES


async def test_filters_narrow_together_and_mind_no_case(database_url: str) -> None:
    programme = Programme()
    day = [NOON + timedelta(days=n) for n in range(5)]
    programme.announce("a", day[1], city="Gent", state="Flanders", country="BE")
    programme.announce("b", day[2], city="GENT", state="flanders", country="be")
    programme.announce("c", day[3], city="Lyon", country="FR")
    programme.announce("d", day[4])

    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await programme.fold(connection)

        async def titles(**filters: Any) -> str:
            return "".join(row.title for row in _rows(await events_queries.events(connection, limit=ALL, **filters)))

        assert await titles() == "abcd"
        assert await titles(city="gEnt") == "ab"
        assert await titles(city="Gen") == ""
        assert await titles(city="G%") == ""
        assert await titles(state="FLANDERS", country="BE") == "ab"
        assert await titles(country="fr") == "c"
        assert await titles(city="gent", country="fr") == ""
        assert await titles(starts_after=day[2]) == "bcd"
        assert await titles(starts_before=day[2]) == "a"
        assert await titles(starts_after=day[2], starts_before=day[3], q="B", city="gent") == "b"


def _rows(found: list[ShownEvent]) -> list[EventRow]:
    return [one.event for one in found]


def near(programme: Programme) -> None:
    """Events here and there, announced by their start."""
    day = [NOON + timedelta(days=n) for n in range(11)]
    programme.announce("h", day[1], city="Lyon", country="FR")
    programme.announce("e", day[2], country="be")
    programme.announce("f", day[3], city="Namur", state="Wallonia", country="BE")
    programme.announce("g", day[4], city="Gent", state="Wallonia", country="BE")
    programme.announce("a", day[5], city="Gent", state="flanders", country="BE")
    programme.announce("b", day[6], city="gent", state="Flanders", country="BE")
    programme.announce("d", day[7], state="FLANDERS", country="BE")
    programme.announce("c", day[8], city="Gent", country="BE")
    programme.announce("i", day[9], city="Gent", state="Flanders")
    programme.announce("j", day[10])
    programme.announce("past", datetime(2020, 1, 1, tzinfo=UTC), city="Gent", state="Flanders", country="BE")
    programme.call_off(programme.announce("off", day[1], city="Gent", state="Flanders", country="BE"))


@pytest.mark.parametrize(
    ("city", "state", "country", "expected"),
    [
        ("Gent", "Flanders", "BE", "abc" + "d" + "efg"),
        ("GENT", None, "be", "gabc" + "" + "efd"),
        (None, "Flanders", "BE", "" + "abd" + "efgc"),
        (None, None, "BE", "efgabdc"),
        (None, None, None, "hefgabdcij"),
        ("Gent", "Flanders", None, "abci" + "d" + "hefgj"),
        ("Atlantis", "Sea", "XX", ""),
    ],
)
async def test_events_for_an_account_come_from_near_to_far(
    database_url: str, city: str | None, state: str | None, country: str | None, expected: str
) -> None:
    programme = Programme()
    near(programme)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await programme.fold(connection)
        home = {"city": city, "state": state, "country": country}
        everything = [
            (one.rank, one.shown.event) for one in await events_queries.events_for(connection, **home, limit=ALL)
        ]
        assert "".join(event.title for _, event in everything) == expected
        for size in (1, 2, 5):
            pages, after = [], None
            while page := await events_queries.events_for(connection, **home, after=after, limit=size):
                pages += [(one.rank, one.shown.event) for one in page]
                after = (page[-1].rank, page[-1].shown.event.starts_at, page[-1].shown.event.event_id)
            assert pages == everything


async def test_an_event_that_nobody_knows_of_is_not_there(database_url: str) -> None:
    async with (
        await connect(database_url, role=WORKER_ROLE) as connection,
        SharedReads(database_url) as reads,
    ):
        assert await events_queries.event(reads.ask, UUID(int=1)) is None
        assert await events_queries.first_events(reads.ask, ALL) == []
        assert await events_queries.events(connection, limit=ALL) == []
