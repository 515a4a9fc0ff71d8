"""Refused attempts by any filters are what a brute force selects, page after page, and are found by an index."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from auditing.replay import refused_attempt_queries
from auditing.replay.refused_attempt_queries import LAST, Filters, Place
from eventstore.postgres.connections import BY_INDEX, Connection, connect
from eventstore.writing.refused_attempts import RefusedAttempt
from tests.projections.queries.test_audit_trail_queries import rows_read
from tests.projections.queries.test_query_plans import named, plan_of

START = datetime(2030, 5, 1, tzinfo=UTC)
CODES = ("sold-out", "limit-per-buyer", "hold-expired")

# A row has one to four attempts; a second has up to three rows.
INSERT = """
INSERT INTO refused_together (first_request_id, request_ids, account_ids, refused_at, command, event_id, reservation_id,
                              code, facts, position, last_kept)
VALUES (%(request_ids)s[1], %(request_ids)s, %(account_ids)s, %(refused_at)s, %(command)s, %(event_id)s,
        %(reservation_id)s, %(code)s, '{"available": 0}', %(position)s, false)
"""
MANY = """
INSERT INTO refused_together (first_request_id, request_ids, account_ids, refused_at, command, event_id, reservation_id,
                              code, facts, position, last_kept)
SELECT id, ARRAY[id], ARRAY[lpad(to_hex(n %% 50), 32, 'a')::uuid], timestamptz '2030-05-01Z' + n * interval '1 second',
       'ReserveTickets', lpad(to_hex(least(n / 1000, 20)), 32, 'e')::uuid,
       CASE WHEN n %% 100 = 0 THEN lpad(to_hex(n), 32, '0')::uuid END, 'sold-out', '{}', n, false
FROM generate_series(1, %(count)s) AS n, LATERAL (SELECT lpad(to_hex(n), 32, '0')::uuid) AS given (id)
"""
COUNT = 60_000
LATE_EVENT = UUID("14".rjust(32, "e"))


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with await connect(database_url, None, **BY_INDEX) as connection:
        yield connection


async def some_rows(connection: Connection, random: Random) -> list[tuple[RefusedAttempt, Place]]:
    """Rows in any order; what they hold, in that of time."""
    ids = iter(UUID(int=random.getrandbits(128)) for _ in range(1_000))
    accounts, events, reservations = ([next(ids) for _ in range(3)] for _ in range(3))
    told: list[tuple[RefusedAttempt, Place]] = []
    for position in range(60):
        reservation_id = random.choice([None, *reservations])
        row: dict[str, Any] = {
            "request_ids": [next(ids) for _ in range(random.randint(1, 4))],
            "refused_at": START + timedelta(seconds=random.randrange(20)),
            "command": "PayReservation" if reservation_id else "ReserveTickets",
            "event_id": random.choice(events),
            "reservation_id": reservation_id,
            "code": random.choice(CODES),
            "position": position,
        }
        row["account_ids"] = [random.choice(accounts) for _ in row["request_ids"]]
        await connection.execute(INSERT, row)
        alike = {
            name: row[name] for name in ("refused_at", "command", "event_id", "reservation_id", "code", "position")
        }
        nothing = dict.fromkeys(("ticket_type_id", "quantity", "capacity", "reserved", "paid"))
        for place, (request_id, account_id) in enumerate(zip(row["request_ids"], row["account_ids"], strict=True), 1):
            one = RefusedAttempt(
                request_id=request_id,
                account_id=account_id,
                facts='{"available": 0}',
                last_kept=False,
                **alike,
                **nothing,
            )
            told.append((one, Place(row["refused_at"], row["request_ids"][0], place)))
    return sorted(told, key=lambda one: one[1])


async def all_selected(connection: Connection, filters: Filters, limit: int) -> list[RefusedAttempt]:
    """Page after page to the end."""
    found: list[RefusedAttempt] = []
    after: Place | None = None
    while True:
        attempts, then = await refused_attempt_queries.selected(connection, filters, after, limit)
        assert len(attempts) <= limit
        found += [attempt for attempt, _ in attempts]
        if then is None:
            return found
        assert after is None or then > after
        after = then


def matches(it: RefusedAttempt, filters: Filters) -> bool:
    wanted = {name: getattr(filters, name) for name in ("event_id", "reservation_id", "account_id", "code")}
    if any(value is not None and getattr(it, name) != value for name, value in wanted.items()):
        return False
    return (filters.since or START) <= it.refused_at < (filters.until or START + timedelta(days=1))


@pytest.mark.parametrize("walked", [2, 50_000])
async def test_filters_select_what_a_brute_force_selects(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, walked: int
) -> None:
    monkeypatch.setattr(refused_attempt_queries, "WALKED_ROWS", walked)
    random = Random(walked)
    told = [one for one, _ in await some_rows(connection, random)]
    found = 0
    for _ in range(60):
        it, other = random.choice(told), random.choice(told)
        chances: dict[str, Any] = {
            name: getattr(it, name) for name in ("event_id", "reservation_id", "account_id", "code")
        }
        chances |= {"since": it.refused_at, "until": other.refused_at}
        filters = Filters(**{name: value for name, value in chances.items() if random.random() < 0.35})
        selected = await all_selected(connection, filters, random.choice((1, 2, 7, 100)))
        assert selected == [one for one in told if matches(one, filters)], filters
        found += bool(selected)
    assert found > 20


async def test_each_filter_finds_its_rows_by_an_index(connection: Connection) -> None:
    await connection.execute("RESET ROLE")
    await connection.execute(MANY, {"count": COUNT})
    await connection.execute("ANALYZE refused_together")
    an_account, late = UUID("1".rjust(32, "a")), START + timedelta(seconds=COUNT - 100)
    for filters, index in (
        (Filters(), "refused_together_by_time"),
        (Filters(since=late), "refused_together_by_time"),
        (Filters(account_id=an_account), "refused_together_by_time"),
        (Filters(code="hold-expired"), "refused_together_by_time"),
        (Filters(event_id=LATE_EVENT), "refused_together_by_event"),
        (Filters(event_id=LATE_EVENT, code="hold-expired"), "refused_together_by_event"),
        (Filters(reservation_id=UUID(int=30_000)), "refused_together_by_reservation"),
    ):
        begin = filters.since or START
        values = filters._asdict() | {"after_at": begin, "after_id": UUID(int=0), "after_place": 0, "rows": 51}
        end = begin + timedelta(seconds=5_000) if filters.walks and not filters.event_id else LAST.refused_at
        plan = await plan_of(
            connection, filters.source.selected, values | {"upto_at": end, "upto_id": LAST.first_request_id}
        )
        assert named(plan, "Index Name") == [index], (filters, plan)
        assert "Seq Scan" not in named(plan, "Node Type")
        upto = {"upto_at": LAST.refused_at, "upto_id": LAST.first_request_id}
        plan = await plan_of(connection, filters.source.walked, values | upto | {"walked": 5_000})
        assert named(plan, "Index Name") == [index], (filters, plan)


async def test_an_event_in_a_short_time_is_found_by_either(connection: Connection) -> None:
    await connection.execute("RESET ROLE")
    await connection.execute(MANY, {"count": COUNT})
    await connection.execute("ANALYZE refused_together")
    for second in (25_000, COUNT - 100):
        since = START + timedelta(seconds=second)
        filters = Filters(event_id=LATE_EVENT, since=since, until=since + timedelta(seconds=50))
        values = filters._asdict() | {"after_at": since, "after_id": UUID(int=0), "after_place": 0, "rows": 51}
        upto = {"upto_at": filters.until, "upto_id": UUID(int=0)}
        plan = await plan_of(connection, filters.source.selected, values | upto)
        assert "Seq Scan" not in named(plan, "Node Type")
        assert rows_read(plan) <= 200, plan
