"""What the list of events has, in which order, page by page."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from unicodedata import normalize

import pytest
from msgspec.structs import replace

from domain.event_facts import SalesWindow
from domain.on_sale import ALL_ON_SALE
from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from eventstore.postgres.shared_reads import SharedReads
from projections.queries import catalogue_queries, events_queries
from projections.queries.catalogue_queries import Filters, events
from projections.queries.events_queries import ShownEvent
from projections.tables.events import EventRow
from tests.projections.histories import NOON, BoxOffice, append
from tests.projections.programme import Programme

ALL = 200
EVERY = Filters(is_upcoming=False, status=None)
# By the database's clock, which no test can turn: these have ended, are on, and come.
HOUR = timedelta(hours=1)
PRESENT = datetime.now(UTC)


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
            listed = await events(connection, EVERY, with_description=with_description, limit=ALL)
            assert len(listed) == len(alone)
            for one in listed:
                same = alone[one.event.event_id]
                assert same is not None
                event = same.event if with_description else replace(same.event, description=None)
                assert one._replace(at=same.at) == same._replace(event=event)


async def test_events_come_by_start_page_by_page_even_when_many_start_at_once(database_url: str) -> None:
    programme = Programme()
    for n in range(30):
        programme.announce(f"Event {n}", NOON + timedelta(days=1 + n % 3))
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await programme.fold(connection)
        everything = _rows(await catalogue_queries.events(connection, limit=ALL))
        assert len(everything) == 30
        assert everything == sorted(everything, key=lambda row: (row.starts_at, row.event_id))
        for size in (1, 7, 30):
            pages, after = [], None
            while page := _rows(await catalogue_queries.events(connection, after=after, limit=size)):
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
        found = {q: {row.title for row in _rows(await events(connection, Filters(q=q), limit=ALL))} for q in SEARCHES}
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
            return "".join(row.title for row in _rows(await events(connection, Filters(**filters), limit=ALL)))

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


def season() -> Programme:
    """Events of every kind around the present: past, on, to come; sold out, closed, not open yet, cancelled."""
    programme, chance = Programme(), random.Random(5)
    for number in range(90):
        starts_at = PRESENT + chance.choice((-300, -30, -2, 2, 30, 300)) * HOUR + number % 7 * timedelta(minutes=1)
        ends_at = starts_at + chance.choice((1, 5, 500)) * HOUR
        window = chance.choice(
            (
                SalesWindow(),
                SalesWindow(sales_open_at=starts_at - 9 * HOUR, sales_close_at=starts_at - HOUR),
                SalesWindow(sales_open_at=starts_at - HOUR),
                SalesWindow(sales_close_at=starts_at - 3 * HOUR),
            )
        )
        place = {"city": chance.choice(("Gent", "GENT", "Lyon", None)), "country": chance.choice(("BE", "be", None))}
        event_id = programme.announce(
            f"Event {number}", starts_at, capacity=chance.choice((1, 9)), window=window, ends_at=ends_at, **place
        )
        opens_at = window.sales_open_at or starts_at - 20 * HOUR
        if chance.random() < 0.6:
            programme.reserve(event_id, programme.office.new_id(), opens_at)
            if chance.random() < 0.6:
                programme.pay_last(opens_at)
        if chance.random() < 0.2:
            programme.call_off(event_id, max(opens_at, starts_at - 10 * HOUR))
    return programme


def has(filters: Filters, one: ShownEvent) -> bool:
    """Whether an event belongs into the list, by plain comparisons."""
    row = one.event
    return (
        (filters.status in (None, row.status))
        and (filters.ends_after is None or row.ends_at > filters.ends_after)
        and (not filters.is_upcoming or row.ends_at > one.at)
        and (filters.starts_after is None or row.starts_at >= filters.starts_after)
        and (filters.starts_before is None or row.starts_at < filters.starts_before)
        and (filters.city is None or (row.city or "").lower() == filters.city.lower())
        and (filters.country is None or (row.country or "").lower() == filters.country.lower())
        and (filters.organiser_id in (None, row.organiser_id))
        and (filters.on_sale in (None, one.sale.on_sale))
    )


async def pages(connection: Connection, filters: Filters, size: int) -> list[EventRow]:
    """All that is listed, walked page by page."""
    walked: list[EventRow] = []
    after = None
    while page := _rows(await events(connection, filters, after=after, limit=size)):
        assert len(page) <= size
        walked += page
        after = (page[-1].starts_at, page[-1].event_id)
    return walked


async def test_every_filter_alone_and_any_two_give_what_they_say_page_by_page(database_url: str) -> None:
    programme = season()
    organiser_id = next(iter(programme.office.aggregates.values())).created.organiser_id
    choices: list[dict[str, Any]] = [
        {"status": "scheduled"},
        {"status": "cancelled"},
        {"is_upcoming": True},
        {"ends_after": PRESENT - 10 * HOUR},
        {"starts_after": PRESENT - 30 * HOUR},
        {"starts_before": PRESENT + HOUR},
        {"city": "gent"},
        {"country": "BE"},
        {"organiser_id": organiser_id},
        *({"on_sale": on_sale} for on_sale in ALL_ON_SALE),
    ]
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await programme.fold(connection)
        everything = await events(connection, EVERY, with_description=False, limit=ALL)
        assert len(everything) == 90
        assert {one.sale.on_sale for one in everything} == set(ALL_ON_SALE)
        for first, second in itertools.combinations_with_replacement(choices, 2):
            filters = EVERY._replace(**first | second)
            wanted = [one.event for one in everything if has(filters, one)]
            listed = await events(connection, filters, limit=ALL)
            assert [one.event for one in listed] == wanted, filters
            assert {one.sale.on_sale for one in listed} <= {filters.on_sale} or filters.on_sale is None
            assert await pages(connection, filters, 7) == wanted, filters


async def test_the_first_page_is_what_is_upcoming_and_scheduled(database_url: str) -> None:
    programme = season()
    async with (
        await connect(database_url, role=WORKER_ROLE) as connection,
        SharedReads(database_url) as reads,
    ):
        await programme.fold(connection)
        upcoming = [
            one
            for one in await events(connection, EVERY, limit=ALL)
            if one.event.status == "scheduled" and one.event.ends_at > one.at
        ]
        assert any(one.event.starts_at < PRESENT for one in upcoming)
        for limit in (3, ALL):
            listed = await catalogue_queries.first_events(reads.ask, limit)
            assert _rows(listed) == _rows(upcoming)[:limit]
            assert [one.ticket_types for one in listed] == [one.ticket_types for one in upcoming[:limit]]


SPELLINGS = {
    "Café São Paulo": ("cafe", "CAFE\u0301", "sao paulo", "são", "afe"),
    "Große Straße": ("strasse", "STRASSE", "grosse", "STRAẞE", "straße"),
    "Ο Οδυσσεύς": ("οδυσσευς", "ΟΔΥΣΣΕΥΣ", "οδυσσεύσ"),
    "Łódź Øresund ÆRØ": ("lodz", "oresund", "aero", "ŁÓDŹ"),
    "İstanbul": ("istanbul", "ISTANBUL"),
    "Ёлка и Йога": ("елка", "ЙОГА"),
    "東京フィル": ("東京", "フィル"),
    "Rock ’n’ Roll": ("'n'", "ROCK"),
    "Schiff\u00adfahrt": ("schifffahrt",),
}


@pytest.mark.parametrize("title", SPELLINGS)
async def test_a_search_finds_what_a_person_would_call_the_same_word(database_url: str, title: str) -> None:
    programme = Programme()
    for form in ("NFC", "NFD"):
        programme.announce(normalize(form, title), description=form)
    programme.announce("ガラス ÄRGER", description="Neither")
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await programme.fold(connection)
        for q in SPELLINGS[title]:
            found = await events(connection, Filters(q=q), with_description=True, limit=ALL)
            assert {one.event.description for one in found} == {"NFC", "NFD"}, q
        assert await events(connection, Filters(q="カラス"), limit=ALL) == []


async def test_a_place_is_found_by_what_a_person_would_call_it(database_url: str) -> None:
    programme = Programme()
    for city in ("São Paulo", normalize("NFD", "São  Paulo"), "SAO PAULO"):
        programme.announce("there", city=city, state=city, country=city)
    programme.announce("elsewhere", city="Santos")
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await programme.fold(connection)
        for name in ("city", "state", "country"):
            found = await events(connection, Filters(**{name: " sao paulo"}), limit=ALL)
            assert [one.event.title for one in found] == ["there"] * 3
        near = await events_queries.events_for(connection, city="são paulo", state=None, country=None, limit=ALL)
        assert [one.rank for one in near] == [0, 0, 0, 2]


def _rows(found: list[ShownEvent]) -> list[EventRow]:
    return [one.event for one in found]
