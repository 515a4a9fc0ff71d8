"""What the views over time answer, against the same worked out by hand: days are those of a calendar at the place."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from domain.commands import Actor, CancelReservation, PayReservation
from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from projections.schema.views import VIEWS
from tests.projections.histories import BoxOffice, Command
from tests.projections.independent_fold import expected_of
from tests.projections.programme import Programme
from tests.projections.rebuilding.watched_rebuild import Watched
from tests.projections.sold import fill
from tests.projections.test_views import SUMS, ask, by_ticket_type

# Clocks there are changed in the nights before these days, which have 25 and 23 hours.
LONG_DAY, SHORT_DAY = date(2035, 10, 28), date(2036, 3, 30)
STARTS_AT = datetime(2036, 4, 1, 21, 30, tzinfo=UTC)  # half past midnight of the 2nd in Riga
SOLD = "SELECT day, tickets_paid FROM sales_by_local_day WHERE tickets_paid > 0 ORDER BY day"
CURVE = """
SELECT days_before_start, tickets_paid, tickets_returned, tickets_sold_so_far FROM sales_curve
WHERE event_id = %(event_id)s ORDER BY days_before_start DESC
"""


@pytest.fixture
def commands() -> list[Command]:
    return BoxOffice(3).commands(600)


def midnight(day: date, time_zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)


class Sale:
    """One event in a time zone, with tickets that are bought and given back at chosen instants."""

    def __init__(self, time_zone: str) -> None:
        self.programme = Programme()
        self.event_id = self.programme.announce("Night of Strings", STARTS_AT, time_zone=time_zone)

    def buy(self, at: datetime) -> UUID:
        buyer = self.programme.office.new_id()
        reservation_id = self.programme.reserve(self.event_id, buyer, at)
        self.submit(PayReservation, buyer, reservation_id)
        return reservation_id

    def give_back(self, reservation_id: UUID, at: datetime) -> None:
        self.programme.office.now = at
        buyer = self.programme.office.aggregates[reservation_id].record.placed.buyer_id
        self.submit(CancelReservation, buyer, reservation_id)

    def submit(self, kind: Any, buyer: UUID, reservation_id: UUID) -> None:
        asked = {"event_id": self.event_id, "request_id": self.programme.office.new_id(), "actor": Actor(buyer)}
        self.programme.submit([kind(**asked, reservation_id=reservation_id)])


def around(day: date, time_zone: str) -> Iterator[datetime]:
    """The last minute before a day, its first, its last, and the first after it."""
    for begins_at in (midnight(day, time_zone), midnight(day + timedelta(days=1), time_zone)):
        yield begins_at - timedelta(minutes=1)
        yield begins_at


@pytest.mark.parametrize("day", [LONG_DAY, SHORT_DAY])
async def test_a_day_of_23_or_25_hours_has_what_was_sold_in_it(database_url: str, day: date) -> None:
    sale = Sale("Europe/Riga")
    for at in around(day, "Europe/Riga"):
        sale.buy(at)
    begins_at, ends_at = midnight(day, "Europe/Riga"), midnight(day + timedelta(days=1), "Europe/Riga")
    assert ends_at - begins_at == timedelta(hours=25 if day == LONG_DAY else 23)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await sale.programme.fold(connection)
        await connection.execute("SET timezone = 'Asia/Kathmandu'")
        shown = [tuple(row.values()) for row in await ask(connection, SOLD)]
    assert shown == [(day - timedelta(days=1), 1), (day, 2), (day + timedelta(days=1), 1)]


async def test_local_days_are_the_sums_of_their_minutes(database_url: str, commands: list[Command]) -> None:
    await fill(database_url, commands)
    tables = expected_of(commands)
    expected: dict[Any, dict[str, Any]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    zones = {event_id: row["time_zone"] for event_id, row in tables["events"].items()}
    for minute in tables["sales_by_minute"].values():
        day = minute["minute"].astimezone(ZoneInfo(zones[minute["event_id"]])).date()
        for count in SUMS:
            expected[minute["event_id"], day, minute["ticket_type_id"]][count] += minute[count]
    async with await connect(database_url) as connection:
        rows = await ask(connection, "SELECT * FROM sales_by_local_day")
    shown = {(r["event_id"], r["day"], r["ticket_type_id"]): {count: r[count] for count in SUMS} for r in rows}
    assert shown == expected
    assert all(row["time_zone"] == zones[row["event_id"]] and row["currency"] == "EUR" for row in rows)
    assert len(set(zones.values())) > 1


async def test_a_time_zone_that_the_server_does_not_know_counts_as_utc(database_url: str) -> None:
    sale = Sale("Mars/Olympus")
    sale.buy(midnight(LONG_DAY, "UTC"))
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await sale.programme.fold(connection)
        rows = await ask(connection, "SELECT day, time_zone FROM sales_by_local_day")
    assert [tuple(row.values()) for row in rows] == [(LONG_DAY, "UTC")]


async def test_a_sales_curve_counts_days_to_the_start_and_what_is_sold_so_far(database_url: str) -> None:
    sale = Sale("Europe/Riga")
    day = date(2036, 4, 2)
    start = midnight(day, "Europe/Riga")
    first = sale.buy(midnight(day - timedelta(days=100), "Europe/Riga"))
    second, _ = sale.buy(start - timedelta(hours=25)), sale.buy(start - timedelta(minutes=1))
    sale.give_back(first, start - timedelta(minutes=1))
    sale.buy(start)
    sale.give_back(second, start + timedelta(minutes=1))
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await sale.programme.fold(connection)
        curve = await curve_of(connection, sale.event_id)
        await connection.execute("UPDATE events SET time_zone = 'UTC'")
        in_utc = await curve_of(connection, sale.event_id)
    # Days before the start, paid, given back, sold so far: at the place it is the 2nd of April, in UTC still the 1st.
    assert curve == [(100, 1, 0, 1), (2, 1, 0, 2), (1, 1, 1, 2), (0, 1, 1, 2)]
    assert in_utc == [(100, 1, 0, 1), (1, 1, 0, 2), (0, 2, 2, 2)]


async def curve_of(connection: Connection, event_id: UUID) -> list[tuple[int, ...]]:
    return await (await connection.execute(CURVE, {"event_id": event_id})).fetchall()


async def test_any_sales_curve_ends_at_what_is_sold(database_url: str, commands: list[Command]) -> None:
    await fill(database_url, commands)
    tables = expected_of(commands)
    async with await connect(database_url) as connection:
        shown = await ask(connection, "SELECT * FROM sales_curve ORDER BY event_id, days_before_start DESC")
    expected: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for r in tables["reservations"].values():
        event = tables["events"][r["event_id"]]
        zone = ZoneInfo(event["time_zone"])
        starts_on = event["starts_at"].astimezone(zone).date()
        parts = [
            p for p in tables["reductions"].values() if p["reservation_id"] == r["reservation_id"] and p["was_paid"]
        ]
        steps = [(0, r["paid_at"], r["quantity"] + sum(part["quantity"] for part in parts))]
        steps += [(1, r["cancelled_at"] if r["paid_at"] else None, r["quantity"])]
        steps += [(1, part["reduced_at"], part["quantity"]) for part in parts]
        for place, at, tickets in steps:
            if at is not None:
                expected[r["event_id"], (starts_on - at.astimezone(zone).date()).days][place] += tickets
    counts = {(r["event_id"], r["days_before_start"]): [r["tickets_paid"], r["tickets_returned"]] for r in shown}
    assert counts == expected
    sold = {row["event_id"]: row["tickets_sold_so_far"] for row in shown}
    paid: dict[Any, int] = defaultdict(int)
    for ticket_type in tables["ticket_types"].values():
        paid[ticket_type["event_id"]] += ticket_type["paid"]
    assert sold == {event_id: tickets for event_id, tickets in paid.items() if event_id in sold}
    assert len(sold) >= 3


async def test_capacities_over_time_are_what_each_step_left(database_url: str, commands: list[Command]) -> None:
    await fill(database_url, commands)
    tables = expected_of(commands)
    async with await connect(database_url) as connection:
        shown = by_ticket_type(await ask(connection, "SELECT * FROM capacity_over_time ORDER BY position"))
    assert {key[1] for key in shown} == tables["ticket_types"].keys()
    steps = by_ticket_type(list(tables["capacity_changes"].values()))
    for key, rows in shown.items():
        capacity = withheld = 0
        for row, step in zip(rows, sorted(steps[key], key=itemgetter("position")), strict=True):
            capacity, withheld = step["capacity"] or capacity, withheld + step["withheld"]
            assert (row["position"], row["changed_at"]) == (step["position"], step["changed_at"])
            assert (row["capacity"], row["withheld"], row["for_sale"]) == (capacity, withheld, capacity - withheld)
        now = tables["ticket_types"][key[1]]
        assert (rows[-1]["capacity"], rows[-1]["withheld"]) == (now["capacity"], now["withheld"])
    assert max(map(len, shown.values())) > 1
    assert {row["withheld"] > 0 for rows in shown.values() for row in rows} == {True, False}


def sold_out(commands: list[Command]) -> Iterator[tuple[Any, datetime]]:
    """Each instant after which no ticket of a type was left. Several commands may be of one instant."""
    tickets_left: dict[Any, int] = defaultdict(int)
    capacities: dict[Any, int] = {}
    for at, same_instant in groupby(commands, lambda command: command[0].timestamp):
        touched = set()
        for it in (it for command in same_instant for it in command):
            for ticket_type_id, more in steps_of(it, capacities):
                tickets_left[ticket_type_id] += more
                touched.add(ticket_type_id)
        yield from ((ticket_type_id, at) for ticket_type_id in touched if tickets_left[ticket_type_id] <= 0)


def steps_of(it: Any, capacities: dict[Any, int]) -> Iterator[tuple[Any, int]]:
    """How many tickets of which types a domain event leaves more, or less."""
    match it.TOPIC:
        case "EventCreated":
            for offer in it.ticket_types:
                capacities[offer.ticket_type_id] = offer.capacity
                yield offer.ticket_type_id, offer.capacity
        case "TicketTypeAdded":
            capacities[it.ticket_type.ticket_type_id] = it.ticket_type.capacity
            yield it.ticket_type.ticket_type_id, it.ticket_type.capacity
        case "CapacityChanged":
            yield it.ticket_type_id, it.capacity - capacities[it.ticket_type_id]
            capacities[it.ticket_type_id] = it.capacity
        case "TicketsHeld" | "TicketsWithheld":
            yield it.ticket_type_id, -it.quantity
        case "TicketsReduced" | "TicketsReleased" | "TicketsReturned":
            yield it.ticket_type_id, it.quantity


async def test_a_type_is_sold_out_once_none_is_left(database_url: str, commands: list[Command]) -> None:
    await fill(database_url, commands)
    tables = expected_of(commands)
    first: dict[Any, datetime] = {}
    for ticket_type_id, at in sold_out(commands):
        first.setdefault(ticket_type_id, at)
    async with await connect(database_url) as connection:
        shown = await ask(connection, "SELECT * FROM time_to_sell_out")
    expected = {ticket_type_id: first.get(ticket_type_id) for ticket_type_id in tables["ticket_types"]}
    assert {row["ticket_type_id"]: row["sold_out_at"] for row in shown} == expected
    assert len(first) >= 3
    for row in shown:
        event = tables["events"][row["event_id"]]
        opened_at = max(event["sales_open_at"] or event["created_at"], event["created_at"])
        assert row["opened_at"] == opened_at
        seconds = row["sold_out_at"] and (row["sold_out_at"] - opened_at).total_seconds()
        assert row["seconds"] == (seconds if seconds is None else pytest.approx(Decimal(seconds)))


async def test_every_view_says_the_same_after_a_rebuild(database_url: str, commands: list[Command]) -> None:
    async def shown() -> dict[str, list[Any]]:
        async with await connect(database_url) as connection:
            return {
                name: await ask(connection, f"SELECT * FROM {name} ORDER BY {', '.join(key)}")
                for name, key in VIEWS.items()
                if name != "freshness"
            }

    await fill(database_url, commands)
    before = await shown()
    assert all(before.values())
    assert not (await Watched().rebuild(database_url)).differences.shown
    assert await shown() == before
