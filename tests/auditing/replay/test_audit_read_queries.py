"""Reads by any filters are what a brute force selects, page after page, and are found by an index."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from auditing.replay import audit_read_queries
from auditing.replay.audit_read_queries import LAST, AuditRead, Filters, Place
from eventstore.postgres.connections import BY_INDEX, Connection, connect
from tests.projections.queries.test_query_plans import named, plan_of

START = datetime(2030, 5, 1, tzinfo=UTC)
INSERT = """
INSERT INTO audit_reads (request_id, read_at, account_id, what)
VALUES (%(request_id)s, %(read_at)s, %(account_id)s, %(what)s)
"""
MANY = """
INSERT INTO audit_reads (request_id, read_at, account_id, what)
SELECT gen_random_uuid(), timestamptz '2030-05-01Z' + n * interval '1 second',
       lpad(to_hex(least(n / 1000, 20)), 32, 'a')::uuid, '/audit/seals'
FROM generate_series(1, %(count)s) AS n
"""
COUNT = 60_000
LATE_AUDITOR = UUID("14".rjust(32, "a"))


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with await connect(database_url, None, **BY_INDEX) as connection:
        yield connection


async def some_reads(connection: Connection, random: Random, ids: list[UUID]) -> list[AuditRead]:
    """Of three auditors, about three things, in a few seconds."""
    told = []
    for _ in range(100):
        about = str(random.choice(ids))
        what = random.choice(("/audit/seals", f"/audit/accounts?id={about.upper()}", f"/audit/events/{about}/story"))
        at = START + timedelta(seconds=random.randrange(20))
        told.append(AuditRead(UUID(int=random.getrandbits(128)), at, random.choice(ids), what))
        await connection.execute(INSERT, told[-1]._asdict())
    return sorted(told, key=lambda one: one.place)


async def all_selected(connection: Connection, filters: Filters, limit: int) -> list[AuditRead]:
    """Page after page to the end."""
    found: list[AuditRead] = []
    after: Place | None = None
    while True:
        reads, then = await audit_read_queries.selected(connection, filters, after, limit)
        assert len(reads) <= limit
        found += reads
        if then is None:
            return found
        assert after is None or then > after
        after = then


def matches(it: AuditRead, filters: Filters) -> bool:
    if filters.account_id not in (None, it.account_id) or (filters.about and str(filters.about) not in it.what.lower()):
        return False
    return (filters.since or START) <= it.read_at < (filters.until or START + timedelta(days=1))


@pytest.mark.parametrize("walked", [2, 50_000])
async def test_filters_select_what_a_brute_force_selects(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, walked: int
) -> None:
    monkeypatch.setattr(audit_read_queries, "WALKED_ROWS", walked)
    random = Random(walked)
    ids = [UUID(int=random.getrandbits(128)) for _ in range(3)]
    told = await some_reads(connection, random, ids)
    found = 0
    for _ in range(60):
        it, other = random.choice(told), random.choice(told)
        chances: dict[str, Any] = {"account_id": it.account_id, "about": random.choice(ids)}
        chances |= {"since": it.read_at, "until": other.read_at}
        filters = Filters(**{name: value for name, value in chances.items() if random.random() < 0.4})
        selected = await all_selected(connection, filters, random.choice((1, 2, 7, 200)))
        assert selected == [one for one in told if matches(one, filters)], filters
        found += bool(selected)
    assert found > 20


async def test_each_filter_finds_its_rows_by_an_index(connection: Connection) -> None:
    await connection.execute("RESET ROLE")
    await connection.execute(MANY, {"count": COUNT})
    await connection.execute("ANALYZE audit_reads")
    for filters, index in (
        (Filters(), "audit_reads_by_time"),
        (Filters(since=START + timedelta(seconds=COUNT - 100)), "audit_reads_by_time"),
        (Filters(about=UUID(int=7)), "audit_reads_by_time"),
        (Filters(account_id=LATE_AUDITOR), "audit_reads_of_account"),
        (Filters(account_id=LATE_AUDITOR, about=UUID(int=7)), "audit_reads_of_account"),
    ):
        values = filters._asdict() | {"after_at": filters.since or START, "after_id": UUID(int=0), "rows": 51}
        upto = {"upto_at": LAST.read_at, "upto_id": LAST.request_id}
        plan = await plan_of(connection, filters.source.selected, values | upto)
        assert named(plan, "Index Name") == [index], (filters, plan)
        assert "Seq Scan" not in named(plan, "Node Type")
        plan = await plan_of(connection, filters.source.walked, values | upto | {"walked": 5_000})
        assert named(plan, "Index Name") == [index], (filters, plan)
