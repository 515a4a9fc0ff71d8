"""One moment of a database, read in order and in parts, so that memory stays bounded however long the history is."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Generic, LiteralString, TypeVar
from uuid import UUID

from psycopg import sql
from psycopg.rows import args_row, tuple_row

from auditing.verify.checks.history_pass import PRICE_TOPICS, readable
from auditing.verify.checks.snapshot_check import StoredSnapshot
from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import BY_INDEX, Connection, connect
from eventstore.reading import Recorded, StoredRow
from eventstore.snapshots import SHAPE_VERSION
from projections.tables.all_tables import TABLES
from projections.tables.table import Table, columns

PART_ROWS = 4_096
# Snapshots can be large.
PART_SNAPSHOTS = 8
# One long transaction that only reads: nobody waits for it, and it waits for nobody.
SETTINGS = BY_INDEX | {"idle_in_transaction_session_timeout": "0", "statement_timeout": "0", "jit": "off"}

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
SHARE = "SELECT pg_export_snapshot()"
TAKE = "SET TRANSACTION SNAPSHOT {}"
IN_ORDER = """
SELECT notification_id, command_position, originator_id, originator_version, topic, state
FROM stored_events WHERE notification_id > %(after)s ORDER BY notification_id
"""
BY_STREAM = """
SELECT notification_id, command_position, originator_id, originator_version, topic, state
FROM stored_events ORDER BY originator_id, originator_version
"""
# The streams that have grown after a position, whole.
GROWN_BY_STREAM = """
SELECT s.notification_id, s.command_position, s.originator_id, s.originator_version, s.topic, s.state
FROM (SELECT DISTINCT originator_id FROM stored_events WHERE notification_id > %(after)s) AS grown
JOIN stored_events s USING (originator_id) ORDER BY s.originator_id, s.originator_version
"""
OF_PRICES = """
SELECT notification_id, command_position, originator_id, originator_version, topic, state FROM stored_events
WHERE originator_id = ANY(%(ids)s::uuid[]) AND topic = ANY(%(topics)s::text[]) AND notification_id <= %(upto)s
"""
SNAPSHOTS = """
SELECT originator_id, originator_version, state FROM snapshots
WHERE shape_version = %(shape_version)s ORDER BY originator_id
"""
GROWN_SNAPSHOTS = """
SELECT originator_id, originator_version, state FROM snapshots
WHERE shape_version = %(shape_version)s
  AND originator_id IN (SELECT originator_id FROM stored_events WHERE notification_id > %(after)s)
ORDER BY originator_id
"""
OF_TABLE = "SELECT {columns} FROM {table} ORDER BY {order}"
OF_TABLE_AFTER = "SELECT {columns} FROM {table} WHERE {first} > %(after)s ORDER BY {order}"
OF_GROWN = """
SELECT {columns} FROM {table}
WHERE {first} IN (SELECT originator_id FROM stored_events WHERE notification_id > %(after)s) ORDER BY {order}
"""

Item = TypeVar("Item")


def is_by_position(table: Table) -> bool:
    """Whether each domain event makes a row of its own, under its position."""
    return table.key == "position" and table.births.issuperset(table.changed_keys)


BY_POSITION = tuple(table for table in TABLES if is_by_position(table))
BY_STREAM_ALONE = tuple(table for table in TABLES if not is_by_position(table) and table.stream)
# Several streams make their rows.
ACROSS_STREAMS = tuple(table for table in TABLES if not is_by_position(table) and not table.stream)


@asynccontextmanager
async def moment(box_office: BoxOffice | str, shared: str | None = None) -> AsyncIterator[Connection]:
    """A connection that sees one moment until the block ends: the present one, or one that another has shared."""
    async with await connect(box_office, None, **SETTINGS) as connection:
        await connection.execute(BEGIN)
        if shared is not None:
            await connection.execute(sql.SQL(TAKE).format(sql.Literal(shared)))
        yield connection


async def share(connection: Connection) -> str:
    """The name of this moment, by which other connections can see it as long as this one does."""
    ((name,),) = await (await connection.execute(SHARE)).fetchall()
    return str(name)


async def rows(connection: Connection, after: int) -> AsyncIterator[list[StoredRow]]:
    """The history after a position, in its order."""
    async for part in _parts(connection, "history", IN_ORDER, {"after": after}):
        yield list(map(StoredRow._make, part))


async def rows_by_stream(connection: Connection, grown_after: int) -> AsyncIterator[list[StoredRow]]:
    """Stream after stream, each whole: those with domain events after a position."""
    query = GROWN_BY_STREAM if grown_after else BY_STREAM
    async for part in _parts(connection, "streams", query, {"after": grown_after}):
        yield list(map(StoredRow._make, part))


async def of_prices(connection: Connection, event_ids: Iterable[UUID], upto: int) -> list[Recorded]:
    """What these events have said of their prices up to a position."""
    values = {"ids": list(event_ids), "topics": list(PRICE_TOPICS), "upto": upto}
    found = await (await connection.execute(OF_PRICES, values, binary=True)).fetchall()
    return list(readable(map(StoredRow._make, found)))


def snapshots(connection: Connection, grown_after: int) -> "MergeCursor[StoredSnapshot]":
    """Those of our shape, by stream."""
    query = GROWN_SNAPSHOTS if grown_after else SNAPSHOTS
    values = {"shape_version": SHAPE_VERSION, "after": grown_after}
    parts = _parts(connection, "snapshots", query, values, StoredSnapshot, PART_SNAPSHOTS)
    return MergeCursor(parts, lambda snapshot: snapshot.stream_id)


def of_table(connection: Connection, table: Table, after: int = 0) -> "MergeCursor[Any]":
    """A table's rows, by position or by stream where one of them makes a row, else in the order of the key.

    `after` is a position, for streams one that they have grown after.
    """
    column = "position" if is_by_position(table) else table.stream or table.key_columns[0]
    template: LiteralString = OF_TABLE_AFTER if column == "position" else OF_GROWN if after else OF_TABLE
    query = sql.SQL(template).format(
        columns=sql.SQL(columns(table.row)),
        table=sql.Identifier(table.name),
        first=sql.Identifier(column),
        order=sql.Identifier(column),
    )
    parts = _parts(connection, table.name, query, {"after": after}, table.row)
    return MergeCursor(parts, lambda row: getattr(row, column))


class MergeCursor(Generic[Item]):
    """Rows that are read beside others: up to where those have come, in parts."""

    def __init__(self, parts: AsyncIterator[list[Item]], place: Callable[[Item], Any]) -> None:
        self._parts = parts
        self._place = place
        self._ahead: list[Item] = []

    async def upto(self, bound: Any) -> AsyncIterator[list[Item]]:
        """All that come at or before the bound, and after the last one."""
        place = self._place
        while self._ahead or await self._read():
            if place(self._ahead[-1]) > bound:
                count = next(n for n, item in enumerate(self._ahead) if place(item) > bound)
                part, self._ahead = self._ahead[:count], self._ahead[count:]
                yield part
                return
            part, self._ahead = self._ahead, []
            yield part

    async def rest(self) -> AsyncIterator[list[Item]]:
        """All others."""
        while self._ahead or await self._read():
            part, self._ahead = self._ahead, []
            yield part

    async def _read(self) -> bool:
        self._ahead = await anext(self._parts, [])
        return bool(self._ahead)


async def _parts(
    connection: Connection,
    name: str,
    query: LiteralString | sql.Composed,
    values: dict[str, Any],
    row: Callable[..., Any] | None = None,
    size: int = PART_ROWS,
) -> AsyncIterator[list[Any]]:
    """What a query gives, through a cursor of the server's."""
    cursor: Any = connection.cursor(name, row_factory=args_row(row) if row else tuple_row)
    async with cursor:
        await cursor.execute(query, values, binary=True)
        while part := await cursor.fetchmany(size):
            yield part
