"""What a group reads under its locks goes by index, also when the plan was made while the tables were young."""

import re
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.reservation import ReservationPlaced
from eventstore import reading, snapshots
from eventstore.postgres.connections import BY_INDEX, Connection, connect
from eventstore.seals import seals
from eventstore.writing import group_commit, group_statements, refused_attempts
from eventstore.writing.group_transaction import TAIL_ROWS

YOUNG_ROWS, GROWN_ROWS = 60, 5_000
FILL = """
INSERT INTO tixxety.stored_events
SELECT gen_random_uuid(), 1, 'ReservationPlaced', '{}', n, n FROM generate_series(%s::int, %s::int) AS n
"""
FILL_ACCOUNTS = """
INSERT INTO tixxety.accounts (account_id, email, password_hash, name)
SELECT gen_random_uuid(), 'account-' || n || '@example.org', '-', '-' FROM generate_series(%s::int, %s::int) AS n
"""
NEWEST_PREPARED = "SELECT name FROM pg_prepared_statements ORDER BY prepare_time DESC LIMIT 1"
IDS: list[UUID] = [uuid4() for _ in range(256)]
VERSIONS = [1] * len(IDS)
STREAM = {"stream_id": IDS[0], "reservation_id": IDS[0], "version": 0, "limit": 100, "topic": ReservationPlaced.TOPIC}
QUERIES: dict[str, tuple[Any, Any]] = {
    "catch up": (group_statements.CATCH_UP.text, [IDS, IDS, VERSIONS, TAIL_ROWS]),
    "positions": (group_statements.POSITIONS.text, [IDS, VERSIONS]),
    "stream": (reading.READ_STREAM_AFTER, STREAM),
    "placed": (group_commit.PLACED, STREAM),
    "read after": (reading.READ_AFTER, {"after": 0, "limit": 100}),
    "first after": (reading.FIRST_AFTER, {"after": 0}),
    "head": (reading.HEAD, {}),
    "newest seal": (seals.NEWEST, {}),
    "refusals of a buyer": (refused_attempts.OF_BUYER, {"event_id": IDS[0], "account_id": IDS[0], "limit": 100}),
    "refusals of a reservation": (refused_attempts.OF_RESERVATION, {"reservation_id": IDS[0], "limit": 100}),
    "newest snapshot": (snapshots.NEWEST, STREAM | {"shape_version": snapshots.SHAPE_VERSION}),
}


def grow(database_url: str, first: int, last: int) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(FILL, (first, last))
        connection.execute(FILL_ACCOUNTS, (first, last))


@pytest.fixture
def young(database_url: str) -> str:
    """A database whose statistics say that its tables are tiny."""
    grow(database_url, 1, YOUNG_ROWS)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE")
    return database_url


async def test_no_plan_made_while_a_table_was_young_scans_it_when_it_has_grown(young: str) -> None:
    plans = {}
    async with await connect(young, **BY_INDEX, plan_cache_mode="force_generic_plan") as connection:
        names = {name: await prepared(connection, query, values) for name, (query, values) in QUERIES.items()}
        grow(young, YOUNG_ROWS + 1, GROWN_ROWS)
        for name, (query, values) in QUERIES.items():
            plans[name] = await plan_of(connection, names[name], in_order(query, values))
    assert {name: plan for name, plan in plans.items() if "Seq Scan" in plan} == {}


async def prepared(connection: Connection, query: str, values: Any) -> str:
    """Ask often enough for a plan to be kept; returns the statement's name."""
    # Where the values are a list, its parameters are $1, $2 …
    cursor = psycopg.AsyncRawCursor if isinstance(values, list) else psycopg.AsyncCursor
    for _ in range(8):
        await cursor(connection).execute(query, values, prepare=True)
    row = await (await connection.execute(NEWEST_PREPARED, prepare=False)).fetchone()
    assert row is not None
    return str(row[0])


def in_order(query: str, values: Any) -> list[Any]:
    """The values as the prepared statement takes them."""
    if isinstance(values, list):
        return values
    return [values[name] for name in dict.fromkeys(re.findall(r"%\((\w+)\)s", query))]


async def plan_of(connection: Connection, name: str, values: list[Any]) -> str:
    """The plan that was kept. The values are bound by the client: EXECUTE takes no parameters of its own."""
    cursor = psycopg.AsyncClientCursor(connection)
    arguments = f"({', '.join(['%s'] * len(values))})" if values else ""
    await cursor.execute(f'EXPLAIN EXECUTE "{name}" {arguments}'.encode(), values)
    return "\n".join(row[0] for row in await cursor.fetchall())
