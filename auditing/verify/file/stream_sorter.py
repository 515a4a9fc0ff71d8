"""Puts the rows of an export on disk, into the order of their streams, so that memory does not grow with them."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import LiteralString
from uuid import UUID

from auditing.verify.checks.history_pass import PRICE_TOPICS, readable
from auditing.verify.errors import NoRoom
from eventstore.reading import Recorded, StoredRow

PART_ROWS = 4_096
# Thrown away at the end: nothing has to survive a crash. The cache is 32 MiB, which is also what is sorted at a time.
SETTINGS = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = FILE;
PRAGMA cache_size = -32768
"""
MAKE = "CREATE TABLE rows (position, command_position, stream, version, topic, state)"
ADD = "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)"
SORTED = "SELECT position, command_position, stream, version, topic, state FROM rows ORDER BY stream, version, position"
MAKE_PRICES = """
CREATE TABLE prices (stream, version, position, command_position, topic, state, PRIMARY KEY (stream, position))
WITHOUT ROWID
"""
ADD_PRICE = "INSERT OR IGNORE INTO prices VALUES (?, ?, ?, ?, ?, ?)"
OF_PRICES = "SELECT position, command_position, version, topic, state FROM prices WHERE stream = ?"


class StreamSorter:
    """Takes rows in any order; gives them by stream and version. Use `stream_sorter`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, rows: Sequence[StoredRow]) -> None:
        """More rows."""
        self._database.executemany(ADD, _with_bytes(rows))

    def by_stream(self) -> Iterator[list[StoredRow]]:
        """All rows, part by part."""
        cursor = self._database.execute(SORTED)
        while part := cursor.fetchmany(PART_ROWS):
            yield [
                StoredRow(position, command_position, UUID(bytes=stream), version, topic, state)
                for position, command_position, stream, version, topic, state in part
            ]


class PricesTold:
    """What the events of an export have said of their prices. Use `prices_told`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, rows: Sequence[StoredRow]) -> None:
        """Take what there is among more rows."""
        told = [
            (row.stream_id.bytes, row.version, row.position, row.command_position, row.topic, row.state)
            for row in rows
            if row.topic in PRICE_TOPICS
        ]
        self._database.executemany(ADD_PRICE, told)

    def of(self, event_ids: Iterable[UUID]) -> list[Recorded]:
        """Of these events, as far as that was among the rows."""
        found = [
            StoredRow(position, command_position, event_id, version, topic, state)
            for event_id in event_ids
            for position, command_position, version, topic, state in self._database.execute(
                OF_PRICES, (event_id.bytes,)
            )
        ]
        return list(readable(found))


@contextmanager
def stream_sorter(folder: Path) -> Iterator[StreamSorter]:
    """A sorter with a file of its own in the folder, as large as what is sorted, until the block ends.

    The block raises `NoRoom` where the folder has none.
    """
    with _database(folder / "rows", MAKE) as database:
        yield StreamSorter(database)


@contextmanager
def prices_told(folder: Path) -> Iterator[PricesTold]:
    """With a file of its own in the folder. The block raises `NoRoom` where the folder has none."""
    with _database(folder / "prices", MAKE_PRICES) as database:
        yield PricesTold(database)


@contextmanager
def _database(path: Path, make: LiteralString) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.executescript(SETTINGS)
            database.execute(make)
            database.execute("BEGIN")
            yield database
    except sqlite3.OperationalError as error:
        raise NoRoom(str(path.parent), error) from error


def _with_bytes(rows: Sequence[StoredRow]) -> Iterator[tuple[int, int, bytes, int, str, bytes]]:
    for position, command_position, stream_id, version, topic, state in rows:
        yield position, command_position, stream_id.bytes, version, topic, state
