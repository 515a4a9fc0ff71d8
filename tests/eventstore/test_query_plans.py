"""What a group reads under its locks goes by index, also when the plan was made while the tables were young."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.reservation import ReservationPlaced
from eventstore import group_commit, group_statements, history, refused, seals, snapshots
from eventstore.connections import BY_INDEX, connect
from eventstore.group import TAIL_ROWS

YOUNG_ROWS, GROWN_ROWS = 60, 20_000
FILL = """
INSERT INTO tixxety.stored_events
SELECT gen_random_uuid(), 1, 'ReservationPlaced', '{}', n, n FROM generate_series(%s::int, %s::int) AS n
"""
FILL_ACCOUNTS = """
INSERT INTO tixxety.accounts (account_id, email, password_hash, name)
SELECT gen_random_uuid(), 'account-' || n || '@example.org', '-', '-' FROM generate_series(%s::int, %s::int) AS n
"""
IDS: list[UUID] = [uuid4() for _ in range(256)]
VERSIONS = [1] * len(IDS)
STREAM = {"stream_id": IDS[0], "reservation_id": IDS[0], "version": 0, "limit": 100, "topic": ReservationPlaced.TOPIC}
QUERIES: dict[str, tuple[Any, Any]] = {
    "catch up": (group_statements.CATCH_UP.text, [IDS, IDS, VERSIONS, TAIL_ROWS]),
    "positions": (group_statements.POSITIONS.text, [IDS, VERSIONS]),
    "stream": (history.READ_STREAM_AFTER, STREAM),
    "placed": (group_commit.PLACED, STREAM),
    "read after": (history.READ_AFTER, {"after": 0, "limit": 100}),
    "first after": (history.FIRST_AFTER, {"after": 0}),
    "head": (history.HEAD, {}),
    "newest seal": (seals.NEWEST, {}),
    "refusals of a buyer": (refused.OF_BUYER, {"event_id": IDS[0], "account_id": IDS[0], "limit": 100}),
    "refusals of a reservation": (refused.OF_RESERVATION, {"reservation_id": IDS[0], "limit": 100}),
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


@pytest.mark.parametrize("name", QUERIES)
async def test_no_plan_made_while_a_table_was_young_scans_it_when_it_has_grown(young: str, name: str) -> None:
    query, values = QUERIES[name]
    async with await connect(young, **BY_INDEX, plan_cache_mode="force_generic_plan") as connection:
        if isinstance(values, list):
            # Its parameters are $1, $2 …
            connection.cursor_factory = psycopg.AsyncRawCursor
        explain = "EXPLAIN " + query
        for _ in range(8):
            await connection.execute(query, values, prepare=True)
        grow(young, YOUNG_ROWS + 1, GROWN_ROWS)
        plan = "\n".join(row[0] for row in await (await connection.execute(explain, values, prepare=True)).fetchall())
    assert "Seq Scan" not in plan, plan
