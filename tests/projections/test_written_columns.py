"""What is written of a row is all of it: no column keeps its old value in silence when a fold changes it."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from eventstore.box_office import BoxOffice
from projections.tables.all_tables import TABLES
from projections.tables.table import Table

# Their columns and keys alone: no other rule has a say in which values there are.
BARE_COPY = "CREATE TABLE bare.{table} (LIKE {schema}.{table} INCLUDING INDEXES INCLUDING GENERATED)"
COLUMNS = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""
# The numbers of the second row's values begin behind this.
SECOND_ROW = 100
VALUES = {
    "uuid": lambda number: str(UUID(int=number)),
    "text": str,
    "integer": int,
    "integer[]": lambda number: [number],
    "bigint": int,
    "numeric": int,
    "timestamp with time zone": lambda number: f"2030-06-01T12:00:00.{number:06}Z",
    "boolean": lambda number: number > SECOND_ROW,
}

Row = dict[str, Any]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection that sees bare copies of the tables."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("CREATE SCHEMA bare")
        for table in TABLES:
            names = {"table": sql.Identifier(table.name), "schema": sql.Identifier(BoxOffice().projections)}
            await connection.execute(sql.SQL(BARE_COPY).format(**names))
        await connection.execute("SET search_path TO bare")
        yield connection


async def two_rows(connection: psycopg.AsyncConnection[Any], table: Table) -> tuple[Row, Row]:
    """Two rows with one key, that have no other value in common."""
    columns = await (await connection.execute(COLUMNS, [table.name])).fetchall()
    first, second = (
        {name: VALUES[kind](number) for number, (name, kind) in enumerate(columns, begin + 1)}
        for begin in (0, SECOND_ROW)
    )
    return first, second | {name: first[name] for name in table.key_columns}


async def write(connection: psycopg.AsyncConnection[Any], table: Table, row: Row) -> Row:
    """Write a row as a batch does; what the table has then."""
    await connection.execute(f"WITH advanced AS (SELECT) {table.write}", {table.name: json.dumps([row])})
    statement = sql.SQL("SELECT * FROM {}").format(sql.Identifier(table.name))
    cursor = await connection.execute(statement)
    names = [column.name for column in cursor.description or ()]
    return next(dict(zip(names, values, strict=True)) for values in await cursor.fetchall())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_every_column_but_the_key_is_written_anew(connection: psycopg.AsyncConnection[Any], table: Table) -> None:
    first, second = await two_rows(connection, table)
    before = await write(connection, table, first)
    assert None not in before.values()
    if table.insert_only:
        with pytest.raises(psycopg.errors.UniqueViolation):
            await write(connection, table, second)
        return
    after = await write(connection, table, second)
    assert {name for name in first if before[name] == after[name]} == set(table.key_columns)
