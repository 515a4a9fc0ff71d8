"""An event with its tickets, and events near an account from near to far."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from eventstore.postgres.connections import WORKER_ROLE, connect
from eventstore.postgres.shared_reads import SharedReads
from projections.queries import events_queries
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
    async with SharedReads(database_url) as reads:
        assert await events_queries.event(reads.ask, UUID(int=1)) is None
