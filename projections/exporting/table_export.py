"""Exports a table or a view as it is at one moment, in the order of its key, with the position that it shows."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import BinaryIO, NamedTuple

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import args_row

from eventstore.box_office import BoxOffice
from eventstore.errors import Failure
from eventstore.postgres.connections import Connection, connect
from projections import checkpoint
from projections.progress_callback import ProgressCallback
from projections.schema.views import VIEWS
from projections.tables.all_tables import TABLES

CHUNK_BYTES = 4_000_000
TELL_ROWS = 1_000
# The moment lasts as long as the export, and whoever reads its output may pause.
SETTINGS = {"idle_in_transaction_session_timeout": "0"}

# What can be exported, each with the columns that order it.
KEYS = {table.name: table.key_columns for table in TABLES} | VIEWS

COLUMNS = """
SELECT a.attname AS name, t.typname AS type FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
ROWS_ABOUT = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%(table)s)"
AS_CSV = sql.SQL("COPY (SELECT {columns} FROM {table} ORDER BY {key}) TO STDOUT (FORMAT csv, HEADER {header})")
AS_JSON = sql.SQL(
    "COPY (SELECT row_to_json(one)::text FROM (SELECT {columns} FROM {table} ORDER BY {key}) AS one) TO STDOUT"
)

# A text that begins with one of these is a formula to a spreadsheet (OWASP, "CSV Injection"); a quote makes it text.
FORMULA_STARTS = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]
QUOTED = sql.SQL("CASE WHEN left({column}, 1) = ANY ({starts}) THEN '''' || {column} ELSE {column} END AS {column}")


class TableUnknown(Failure):
    """There is no such table or view."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no table or view {name}: choose one of {', '.join(KEYS)}.")


class TableNotMadeYet(Failure):
    """The tables for reading that are there were made by an older version, which did not have this one."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no {name} yet: the tables for reading are of an older version. Run tixxety rebuild first."
        )


class Column(NamedTuple):
    """A column; `type` is PostgreSQL's short name for it."""

    name: str
    type: str

    @property
    def as_it_is(self) -> sql.Composable:
        return sql.Identifier(self.name)

    @property
    def quoted(self) -> sql.Composable:
        """A text that a spreadsheet would take for a formula has a quote before it; numbers stay numbers."""
        if self.type != "text":
            return self.as_it_is
        return QUOTED.format(column=self.as_it_is, starts=sql.Literal(FORMULA_STARTS))


class Exported(NamedTuple):
    """What was written: so many rows, which show the history up to a position."""

    position: int
    rows: int


def expect_table(name: str) -> None:
    """Raises `TableUnknown` where it is none of the projections'."""
    if name not in KEYS:
        raise TableUnknown(name)


class Asked(NamedTuple):
    """The table or view that was asked for, and the position that it shows.

    The number of rows is an estimate, and 0 for a view.
    """

    name: str
    columns: list[Column]
    rows_about: int
    position: int

    def copy(self, statement: sql.SQL, *, quoted: bool = False, **parts: sql.Composable) -> sql.Composed:
        """The statement that copies it out; `quoted` for spreadsheets, which take some texts for formulas."""
        return statement.format(
            columns=sql.SQL(", ").join(column.quoted if quoted else column.as_it_is for column in self.columns),
            table=sql.Identifier(self.name),
            key=sql.SQL(", ").join(map(sql.Identifier, KEYS[self.name])),
            **parts,
        )


# Writes all rows to the file, and tells on its way; returns how many there were.
Write = Callable[[Connection, Asked, BinaryIO, ProgressCallback], Awaitable[int]]


async def export_table(
    box_office: BoxOffice | str, name: str, write: Write, file: BinaryIO, on_progress: ProgressCallback
) -> Exported:
    """Write a table or view to a file by one of the functions for that. Memory is bounded.

    Raises `TableUnknown`, and `TableNotMadeYet` where the tables for reading are of an older version without it.
    """
    expect_table(name)
    async with await connect(box_office, None, **SETTINGS) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        async with connection.transaction():
            position = (await checkpoint.read(connection)).position
            cursor = connection.cursor(row_factory=args_row(Column))
            columns = await (await cursor.execute(COLUMNS, {"table": name})).fetchall()
            if not columns:
                raise TableNotMadeYet(name)
            ((rows_about,),) = await (await connection.execute(ROWS_ABOUT, {"table": name})).fetchall()
            return Exported(
                position, await write(connection, Asked(name, columns, rows_about, position), file, on_progress)
            )


async def csv_chunks(connection: Connection, asked: Asked, *, spreadsheet: bool) -> AsyncIterator[tuple[bytes, int]]:
    """The table as PostgreSQL writes CSV, in chunks of some megabytes and whole lines, each with how many these are.

    For a `spreadsheet` it has the columns' names first, and no cell that a spreadsheet would take for a formula.
    """
    chunk, lines = bytearray(), 0
    statement = asked.copy(AS_CSV, quoted=spreadsheet, header=sql.SQL("true" if spreadsheet else "false"))
    async with connection.cursor().copy(statement) as copy:
        async for line in copy:
            chunk += line
            lines += 1
            if len(chunk) >= CHUNK_BYTES:
                yield bytes(chunk), lines
                chunk.clear()
                lines = 0
    if lines:
        yield bytes(chunk), lines


async def write_csv(connection: Connection, asked: Asked, file: BinaryIO, on_progress: ProgressCallback) -> int:
    """As PostgreSQL's own COPY does: null is nothing, and an empty text has quotes. Formulas become text."""
    written = -1  # the header
    async for chunk, lines in csv_chunks(connection, asked, spreadsheet=True):
        file.write(chunk)
        written += lines
        on_progress(written, max(written, asked.rows_about))
    return written


async def write_ndjson(connection: Connection, asked: Asked, file: BinaryIO, on_progress: ProgressCallback) -> int:
    """An object a row, after a first line with the position."""
    first = {"kind": "table", "table": asked.name, "position": asked.position}
    file.write(msgspec.json.encode(first) + b"\n")
    written = 0
    async with connection.cursor().copy(asked.copy(AS_JSON)) as copy:
        async for (line,) in copy.rows():
            file.write(line.encode() + b"\n")
            written += 1
            if written % TELL_ROWS == 0:
                on_progress(written, max(written, asked.rows_about))
    return written
