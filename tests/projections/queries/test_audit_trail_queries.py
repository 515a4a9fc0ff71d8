"""The audit trail's filters: what a brute force selects, found by an index, and never by looking through the table."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from projections.queries import audit_trail_queries
from projections.queries.audit_trail_queries import FREQUENT_TYPES, Filters, Span
from projections.tables.audit_trail import AuditRow
from tests.projections.histories import NOON, BoxOffice, append
from tests.projections.queries.test_query_plans import named, nodes, plan_of

# Events one after the other, the last one with a third of all; nothing of the system or of one account but at its end,
# and no expiry; a cancellation every 1,000 positions.
MANY = """
INSERT INTO audit_trail (position, stream, version, type, event_id, reservation_id, actor_id, request_id, recorded_at)
SELECT n, lpad(to_hex(least(n / 2000, 40)), 32, 'e')::uuid, n, CASE WHEN n %% 1000 = 0 THEN 'EventCancelled'
       WHEN n > %(count)s - 1000 THEN 'ReservationExpired' WHEN n %% 2 = 0 THEN 'TicketsHeld'
       ELSE 'ReservationPlaced' END,
       lpad(to_hex(least(n / 2000, 40)), 32, 'e')::uuid, lpad(to_hex(n / 2), 32, 'd')::uuid,
       CASE WHEN n < %(count)s - 10000 THEN lpad(to_hex(n %% 3000), 32, 'a')::uuid
            WHEN n %% 2 = 0 THEN lpad('b', 32, 'a')::uuid END, gen_random_uuid(),
       timestamptz '2030-01-01Z' + n * interval '1 second' - n %% 7 * interval '1 second'
FROM generate_series(1, %(count)s::int) AS n
"""
COUNT = 120_000
LATE_EVENT, LATE_ACCOUNT = UUID("28".rjust(32, "e")), UUID("b".rjust(32, "a"))
START = datetime(2030, 1, 1, tzinfo=UTC)
FEWER = 20_000


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with await connect(database_url, None, role=WORKER_ROLE) as connection:
        yield connection


async def all_selected(connection: Connection, filters: Filters, limit: int) -> list[AuditRow]:
    """Page after page to the end."""
    within = await audit_trail_queries.span(connection, filters, (await checkpoint.read(connection)).position)
    rows: list[AuditRow] = []
    while True:
        selected = await audit_trail_queries.selected(connection, filters, within, limit)
        assert len(selected.rows) <= limit
        rows += selected.rows
        if selected.after is None:
            return rows
        assert selected.after > within.after
        within = within._replace(after=selected.after)


def matches(row: AuditRow, filters: Filters) -> bool:
    """Whether the row is meant, said in another way than SQL does."""
    wanted = {
        "event_id": filters.event_id,
        "reservation_id": filters.reservation_id,
        "actor_id": str(filters.account_id) if filters.account_id else None,
        "type": filters.type,
    }
    if any(value is not None and getattr(row, name) != value for name, value in wanted.items()):
        return False
    if filters.by_system and row.actor_id is not None:
        return False
    in_time = (filters.since or NOON.min.replace(tzinfo=UTC)) <= row.recorded_at
    return in_time and (filters.until is None or row.recorded_at < filters.until) and row.position > filters.after


def some_filters(random: Random, rows: list[AuditRow]) -> Filters:
    """Any of the filters, mostly with values that occur."""
    row, other = random.choice(rows), random.choice(rows)
    chances: dict[str, Any] = {
        "event_id": row.event_id,
        "reservation_id": row.reservation_id,
        "account_id": UUID(row.actor_id) if row.actor_id else UUID(int=5),
        "type": random.choice((row, other)).type,
        "since": row.recorded_at,
        "until": random.choice((row, other)).recorded_at,
        "after": random.randrange(len(rows)),
    }
    chosen = {name: value for name, value in chances.items() if random.random() < 0.25}
    return Filters(**chosen, by_system="account_id" not in chosen and random.random() < 0.2)


@pytest.mark.parametrize("walked", [10, 100_000])
async def test_filters_select_what_a_brute_force_selects(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, walked: int
) -> None:
    monkeypatch.setattr(audit_trail_queries, "WALKED_POSITIONS", walked)
    await append(connection, BoxOffice(walked).commands(120))
    await Batches(connection, await checkpoint.read(connection)).fold_next(100_000)
    rows = await all_selected(connection, Filters(), 100)
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    random, found = Random(1), 0
    for _ in range(40):
        filters = some_filters(random, rows)
        selected = await all_selected(connection, filters, random.choice((1, 7, 100)))
        assert selected == [row for row in rows if matches(row, filters)], filters
        found += bool(selected)
    assert found > 20


async def test_each_filter_finds_its_rows_by_an_index(connection: Connection) -> None:
    await connection.execute("RESET ROLE")
    await connection.execute(MANY, {"count": COUNT})
    await connection.execute("ANALYZE audit_trail")
    an_event, a_reservation, an_account = (
        UUID(hexed.rjust(32, fill)) for hexed, fill in (("1e", "e"), ("9c40", "d"), ("7", "a"))
    )
    cases = [
        (Filters(), "audit_trail_pkey"),
        (Filters(event_id=an_event), "audit_trail_of_event"),
        (Filters(reservation_id=a_reservation), "audit_trail_of_reservation"),
        (Filters(account_id=an_account), "audit_trail_of_actor"),
        (Filters(by_system=True), "audit_trail_pkey"),
        (Filters(event_id=LATE_EVENT), "audit_trail_of_event"),
        (Filters(account_id=LATE_ACCOUNT), "audit_trail_of_actor"),
        (Filters(event_id=an_event, reservation_id=a_reservation), "audit_trail_of_reservation"),
        (Filters(type="EventCancelled"), "audit_trail_of_rare_type"),
        (Filters(type="CapacityChanged"), "audit_trail_of_rare_type"),
        (Filters(type="TicketsHeld"), "audit_trail_pkey"),
        (Filters(type="TicketsReleased"), "audit_trail_pkey"),
        (Filters(since=START + timedelta(seconds=100_000)), "audit_trail_pkey"),
        (Filters(since=START + timedelta(seconds=50_000), until=START + timedelta(seconds=50_060)), "audit_trail_pkey"),
        (Filters(event_id=an_event, type="TicketsHeld"), "audit_trail_of_event"),
    ]
    for filters, index in cases:
        within = await audit_trail_queries.span(connection, filters, COUNT)
        if filters.walks:
            within = within._replace(upto=within.after + 15_000)
        plan = await plan_of(connection, filters.query, filters._asdict() | within._asdict() | {"limit": 50})
        assert index in named(plan, "Index Name"), (filters, plan)
        read = sum(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in nodes(plan))
        assert read < 20_000, (filters, plan)


async def test_a_time_is_found_in_a_few_steps_and_nothing_near_it_is_missed(connection: Connection) -> None:
    await connection.execute("RESET ROLE")
    await connection.execute(MANY, {"count": FEWER})
    plan = await plan_of(
        connection, audit_trail_queries.BEFORE, {"upto": FEWER, "instant": START + timedelta(seconds=17_777)}
    )
    assert "Seq Scan" not in named(plan, "Node Type")
    for second in (-1_000, 0, 61, 500, 17_777, FEWER - 61, FEWER + 1_000):
        filters = Filters(since=START + timedelta(seconds=second), until=START + timedelta(seconds=second + 30))
        within = await audit_trail_queries.span(connection, filters, FEWER)
        assert within.upto - within.after <= 200 or within.upto <= 200
        assert filters.since is not None
        assert filters.until is not None
        meant = {
            n for n in range(1, FEWER + 1) if filters.since <= START + timedelta(seconds=n - n % 7) < filters.until
        }
        selected = await audit_trail_queries.selected(connection, filters, within, 100)
        assert {row.position for row in selected.rows} == meant


async def test_a_frequent_type_that_does_not_come_is_answered_in_bounded_parts(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute("RESET ROLE")
    await connection.execute(MANY, {"count": FEWER})
    monkeypatch.setattr(audit_trail_queries, "WALKED_POSITIONS", 12_000)
    expired = Filters(type="ReservationExpired")
    assert await audit_trail_queries.selected(connection, expired, Span(0, FEWER), 50) == ([], 12_000)
    then = await audit_trail_queries.selected(connection, expired, Span(12_000, FEWER), 50)
    assert [row.position for row in then.rows] == list(range(19_001, 19_051))
    assert then.after == 19_050


def test_the_types_without_an_index_are_those_of_the_table() -> None:
    from importlib import resources

    statements = (resources.files("projections.tables") / "audit_trail.sql").read_text()
    left_out = statements.partition("WHERE type NOT IN (")[2].partition(")")[0]
    assert {name.strip(" '") for name in left_out.split(",")} == FREQUENT_TYPES
