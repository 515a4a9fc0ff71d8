"""Puts the rows of an export on disk, into the order of their streams, so that memory does not grow with them."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import LiteralString
from uuid import UUID

from auditing.verify.checks.history_pass import creation
from auditing.verify.errors import NoRoom
from domain.event_facts import EventCreated
from eventstore.reading import StoredRow

PART_ROWS = 4_096
# Thrown away at the end: nothing has to survive a crash. The cache is 32 MiB, which is also what is sorted at a time.
SETTINGS = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = FILE;
PRAGMA cache_size = -32768
"""
MAKE = "CREATE TABLE rows (position, command_position, stream, version, topic, state)"
ADD = "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)"
SORTED = "SELECT position, command_position, stream, version, topic, state FROM rows ORDER BY stream, version, position"
MAKE_CREATIONS = "CREATE TABLE creations (stream PRIMARY KEY, state) WITHOUT ROWID"
ADD_CREATION = "INSERT OR IGNORE INTO creations VALUES (?, ?)"
CREATION = "SELECT state FROM creations WHERE stream = ?"


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


class Creations:
    """How the events of an export began. Use `creations`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, rows: Sequence[StoredRow]) -> None:
        """Take what there is among more rows."""
        topic = EventCreated.TOPIC
        created = [(row.stream_id.bytes, row.state) for row in rows if row.topic == topic and row.version == 1]
        self._database.executemany(ADD_CREATION, created)

    def of(self, event_ids: Iterable[UUID]) -> list[EventCreated]:
        """Of these events, as far as that was among the rows."""
        found = [(id_, self._database.execute(CREATION, (id_.bytes,)).fetchone()) for id_ in event_ids]
        return [it for id_, row in found if row is not None and (it := creation(id_, *row))]


@contextmanager
def stream_sorter(folder: Path) -> Iterator[StreamSorter]:
    """A sorter with a file of its own in the folder, as large as what is sorted, until the block ends.

    The block raises `NoRoom` where the folder has none.
    """
    with _database(folder / "rows", MAKE) as database:
        yield StreamSorter(database)


@contextmanager
def creations(folder: Path) -> Iterator[Creations]:
    """With a file of its own in the folder. The block raises `NoRoom` where the folder has none."""
    with _database(folder / "creations", MAKE_CREATIONS) as database:
        yield Creations(database)


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
