"""What the views answer, against the same worked out by hand from the history."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import quantiles
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import sql
from psycopg.rows import dict_row

from eventstore.postgres.connections import Connection, connect
from projections.schema import make_schema
from projections.schema.views import VIEWS
from tests import refused_rows
from tests.projections.histories import NOON, BoxOffice, Command, append
from tests.projections.independent_fold import COUNTS, expected_of
from tests.projections.sold import attempts_at, fill

Rows = list[dict[str, Any]]

SUMS = (*COUNTS, *(f"tickets_{count}" for count in COUNTS), "revenue_minor", "refunds_minor")
SEED = 3
ALL_VIEWS = "SELECT table_name FROM information_schema.views WHERE table_schema = 'projections'"
UPDATABLE = """
SELECT table_name FROM information_schema.views
WHERE table_schema = 'projections' AND (is_updatable = 'YES' OR is_insertable_into = 'YES')
"""


@pytest.fixture
def commands() -> list[Command]:
    return BoxOffice(SEED).commands(600)


async def ask(connection: Connection, query: str) -> Rows:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query.encode())
        return await cursor.fetchall()


def by_ticket_type(rows: Rows) -> dict[Any, Rows]:
    grouped: dict[Any, Rows] = defaultdict(list)
    for row in rows:
        grouped[row["event_id"], row["ticket_type_id"]].append(row)
    return grouped


async def test_hours_and_days_are_the_sums_of_their_minutes(database_url: str, commands: list[Command]) -> None:
    await fill(database_url, commands)
    minutes = list(expected_of(commands)["sales_by_minute"].values())
    async with await connect(database_url) as connection:
        await connection.execute("SET timezone = 'Asia/Kathmandu'")
        hours = await ask(connection, "SELECT * FROM sales_by_hour")
        days = await ask(connection, "SELECT * FROM sales_by_day")
    for rows, name, bucket_of in (
        (hours, "hour", lambda minute: minute.replace(minute=0)),
        (days, "day", datetime.date),
    ):
        expected: dict[Any, dict[str, Any]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
        for minute in minutes:
            sums = expected[minute["event_id"], bucket_of(minute["minute"].astimezone(UTC)), minute["ticket_type_id"]]
            for count in SUMS:
                sums[count] += minute[count]
        shown = {(r["event_id"], r[name], r["ticket_type_id"]): {count: r[count] for count in SUMS} for r in rows}
        assert shown == expected
        assert {row["currency"] for row in rows} == {"EUR"}


async def test_conversion_is_what_became_of_each_reservation(database_url: str, commands: list[Command]) -> None:
    await fill(database_url, commands)
    reservations = by_ticket_type(list(expected_of(commands)["reservations"].values()))
    async with await connect(database_url) as connection:
        shown = by_ticket_type(await ask(connection, "SELECT * FROM conversion"))
    assert shown.keys() == reservations.keys()
    for key, rows in reservations.items():
        [row] = shown[key]
        paid = [r for r in rows if r["paid_at"]]
        expired = [r for r in rows if r["status"] == "expired"]
        still_reserved = [r for r in rows if r["status"] == "reserved"]
        returned = [r for r in paid if r["cancelled_at"]]
        known = len(rows) - len(still_reserved)
        assert (row["placed"], row["paid"], row["expired"]) == (len(rows), len(paid), len(expired))
        assert (row["still_reserved"], row["returned"]) == (len(still_reserved), len(returned))
        assert row["cancelled_unpaid"] == known - len(paid) - len(expired)
        for rate, part in (("conversion_rate", paid), ("expiry_rate", expired)):
            assert row[rate] == (round(Decimal(len(part)) / known, 4) if known else None)


async def test_time_to_pay_is_from_placing_to_paying(database_url: str, commands: list[Command]) -> None:
    await fill(database_url, commands)
    rows = [row for row in expected_of(commands)["reservations"].values() if row["paid_at"]]
    async with await connect(database_url) as connection:
        shown = by_ticket_type(await ask(connection, "SELECT * FROM time_to_pay"))
    assert shown.keys() == by_ticket_type(rows).keys()
    for key, payments in by_ticket_type(rows).items():
        [row] = shown[key]
        seconds = [(payment["paid_at"] - payment["placed_at"]).total_seconds() for payment in payments]
        tenths = quantiles(seconds * 1, n=10, method="inclusive") if len(seconds) > 1 else seconds * 9
        assert row["paid"] == len(seconds)
        assert (row["p50_seconds"], row["p90_seconds"]) == pytest.approx((tenths[4], tenths[8]))


async def test_unmet_demand_counts_each_account_with_its_largest_wish(
    database_url: str, commands: list[Command]
) -> None:
    attempts = await fill(database_url, commands)
    async with await connect(database_url) as connection:
        rows = await ask(connection, "SELECT * FROM unmet_demand ORDER BY minute, reason")
    shown = [
        (r["minute"] - NOON, r["reason"], r["attempts"], r["accounts"], r["tickets"], r["accounts_with_more"])
        for r in rows
    ]
    assert shown == [
        (timedelta(0), "sales-not-open", 1, 1, 1, 0),
        (timedelta(0), "sold-out", 3, 2, 6, 1),
        (timedelta(minutes=1), "sold-out", 1, 1, 4, 0),
    ]
    assert {(r["event_id"], r["ticket_type_id"]) for r in rows} == {(attempts[0].event_id, attempts[0].ticket_type_id)}


# The tickets of which parts, paid or not, count in a step beside those that reservations have in the end.
OF_PARTS: dict[str, Callable[[bool], bool]] = {
    "reserved": lambda _: True,
    "paid": lambda was_paid: was_paid,
    "expired": lambda _: False,
    "cancelled": lambda was_paid: not was_paid,
    "refunded": lambda was_paid: was_paid,
}


async def test_a_funnel_has_every_step_of_every_ticket_type(database_url: str, commands: list[Command]) -> None:
    await fill(database_url, commands)
    tables = expected_of(commands)
    reservations = by_ticket_type(list(tables["reservations"].values()))
    async with await connect(database_url) as connection:
        shown = await ask(connection, "SELECT * FROM funnel ORDER BY event_id, ticket_type_id, place")
    steps: dict[str, Callable[[dict[str, Any]], bool]] = {
        "reserved": lambda _: True,
        "paid": lambda r: r["paid_at"] is not None,
        "expired": lambda r: r["status"] == "expired",
        "cancelled": lambda r: r["status"] == "cancelled" and r["paid_at"] is None,
        "refunded": lambda r: r["status"] == "cancelled" and r["paid_at"] is not None,
    }
    expected = []
    for ticket_type_id, ticket_type in sorted(tables["ticket_types"].items()):
        rows = reservations[ticket_type["event_id"], ticket_type_id]
        parts = [r for r in tables["reductions"].values() if r["ticket_type_id"] == ticket_type_id]
        for place, (step, took) in enumerate(steps.items(), start=1):
            there = [r for r in rows if took(r)]
            rate = round(Decimal(len(there)) / len(rows), 4) if rows else None
            tickets = sum(r["quantity"] for r in there)
            tickets += sum(r["quantity"] for r in parts if OF_PARTS[step](r["was_paid"]))
            expected.append((ticket_type["event_id"], ticket_type_id, place, step, len(there), tickets, rate))
    assert [tuple(row.values()) for row in shown] == sorted(expected)
    assert {row["step"] for row in shown if row["reservations"]} == steps.keys()
    assert [row for row in shown if row["rate"] is None]


async def test_an_organiser_has_a_row_for_each_currency(database_url: str, commands: list[Command]) -> None:
    await fill(database_url, commands)
    tables = expected_of(commands)
    async with await connect(database_url) as connection:
        shown = {(r["organiser_id"], r["currency"]): r for r in await ask(connection, "SELECT * FROM organisers")}
    types: dict[Any, Rows] = defaultdict(list)
    for ticket_type in tables["ticket_types"].values():
        types[tables["events"][ticket_type["event_id"]]["organiser_id"], ticket_type["currency"]].append(ticket_type)
    assert shown.keys() == types.keys()
    for key, offered in types.items():
        events = {row["event_id"] for row in offered}
        paid = [r for r in tables["reservations"].values() if r["event_id"] in events and r["paid_at"]]
        returned = [r for r in paid if r["cancelled_at"]]
        parts = [r for r in tables["reductions"].values() if r["event_id"] in events and r["was_paid"]]
        refunds = sum(r["refund_due_minor"] for r in paid)
        revenue = sum(r["amount_minor"] for r in paid) + sum(r["refund_due_minor"] for r in parts)
        assert shown[key] == {
            "organiser_id": key[0],
            "currency": key[1],
            "events": len(events),
            "events_cancelled": sum(tables["events"][event]["status"] == "cancelled" for event in events),
            "capacity": sum(row["capacity"] for row in offered),
            "tickets_reserved": sum(row["reserved"] for row in offered),
            "tickets_sold": sum(r["quantity"] for r in paid if not r["cancelled_at"]),
            "tickets_returned": sum(r["quantity"] for r in [*returned, *parts]),
            "refunds": len(returned),
            "revenue_minor": revenue,
            "refunds_minor": refunds,
            "net_minor": revenue - refunds,
        }


async def test_who_was_turned_away_counts_once_and_is_served_with_any_reservation(
    database_url: str, commands: list[Command]
) -> None:
    [at_another, *_] = await fill(database_url, commands)
    event_id, held_only, payer = with_both_kinds_of_buyers(commands, but=at_another.event_id)
    attempts = [one._replace(request_id=uuid4()) for one in attempts_at(event_id)]
    again = [
        attempts[0]._replace(request_id=uuid4(), account_id=account, quantity=quantity, code="sold-out")
        for account, quantity in ((held_only, 5), (payer, 6), (payer, 1))
    ]
    elsewhere = attempts[0]._replace(request_id=uuid4(), event_id=at_another.event_id, account_id=held_only)
    async with await connect(database_url) as connection:
        async with connection.transaction():
            await refused_rows.insert(connection, [*attempts, *again, elsewhere])
        shown = await ask(connection, f"SELECT * FROM turned_away WHERE event_id = '{event_id}' ORDER BY reason")
        accounts = await ask(connection, f"SELECT * FROM refused_accounts WHERE event_id = '{event_id}'")
    assert [tuple(row.values())[1:] for row in shown] == [
        # reason, accounts, never served, never paid, tickets, tickets of those never served
        ("sales-not-open", 1, 1, 1, 1, 1),
        ("sold-out", 4, 2, 3, 2 + 4 + 5 + 6, 2 + 4),
    ]
    wishes = {r["account_id"]: (r["attempts"], r["tickets"]) for r in accounts if r["reason"] == "sold-out"}
    twice, later = attempts[0].account_id, attempts[2].account_id
    assert wishes == {twice: (2, 2), later: (2, 4), held_only: (1, 5), payer: (2, 6)}
    [of_later] = [row for row in accounts if row["account_id"] == later]
    assert (of_later["first_refused_at"], of_later["last_refused_at"]) == tuple(a.refused_at for a in attempts[2:4])


def with_both_kinds_of_buyers(commands: list[Command], but: UUID) -> tuple[UUID, UUID, UUID]:
    """Another event, one who only held tickets of it, and one who paid."""
    own: dict[UUID, tuple[set[UUID], set[UUID]]] = defaultdict(lambda: (set(), set()))
    for r in expected_of(commands)["reservations"].values():
        own[r["event_id"]][r["paid_at"] is not None].add(r["buyer_id"])
    return next(
        (event_id, next(iter(held - payers)), next(iter(payers)))
        for event_id, (held, payers) in own.items()
        if held - payers and payers and event_id != but
    )


async def test_each_view_is_listed_with_what_tells_its_rows_apart(database_url: str, commands: list[Command]) -> None:
    await fill(database_url, commands)
    async with await connect(database_url) as connection:
        assert {row["table_name"] for row in await ask(connection, ALL_VIEWS)} == VIEWS.keys()
        for name, key in VIEWS.items():
            columns = ", ".join(key)
            assert await ask(connection, f"SELECT {columns} FROM {name} GROUP BY {columns} HAVING count(*) > 1") == []


async def test_freshness_tells_how_much_waits_and_since_when(database_url: str) -> None:
    office = BoxOffice(SEED)
    office.now = datetime.now(UTC) - timedelta(hours=1)
    async with await connect(database_url) as connection:
        [empty] = await ask(connection, "SELECT * FROM freshness")
        assert (empty["position"], empty["head"], empty["lag_domain_events"], empty["lag_seconds"]) == (0, 0, 0, 0)
        behind = await append(connection, office.commands(3))
        [lagging] = await ask(connection, "SELECT * FROM freshness")
        assert (lagging["position"], lagging["head"], lagging["lag_domain_events"]) == (0, behind, behind)
        assert 3_500 < lagging["lag_seconds"] < 4_500
        await fill(database_url, office.commands(3))
        [caught_up] = await ask(connection, "SELECT * FROM freshness")
        assert caught_up["position"] == caught_up["head"] > behind
        assert (caught_up["lag_domain_events"], caught_up["lag_seconds"]) == (0, 0)
        assert caught_up["folded_at"] > empty["folded_at"]


async def test_nothing_can_be_written_through_a_view(database_url: str) -> None:
    """A view reads with its owner's rights, and would write with them."""
    async with await connect(database_url) as connection:
        assert await ask(connection, UPDATABLE) == []


async def test_after_a_swap_by_rename_every_view_shows_the_tables_beside_it(
    database_url: str, commands: list[Command]
) -> None:
    await fill(database_url, commands)
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    enter = sql.SQL("SET search_path = {}")
    live, fresh, old, history, away = map(sql.Identifier, ("projections", "fresh", "old", "tixxety", "elsewhere"))
    async with await connect(database_url) as connection:
        await connection.execute("RESET ROLE")
        async with connection.transaction():
            await make_schema.make(connection, "fresh")
        async with connection.transaction():
            for before, after in ((live, old), (fresh, live), (history, away)):
                await connection.execute(rename.format(before, after))
        for name, conversions in (("old", True), ("projections", False)):
            await connection.execute(enter.format(sql.Identifier(name)))
            [stand] = await ask(connection, "SELECT position, head, lag_domain_events FROM freshness")
            assert (stand["position"] == stand["head"]) == conversions
            assert stand["head"] > 0
            assert bool(await ask(connection, "SELECT * FROM conversion")) == conversions
            assert await ask(connection, "SELECT * FROM unmet_demand")
