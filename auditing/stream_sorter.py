"""Puts the rows of an export into the order of their streams, on disk, so that memory does not grow with them."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import msgspec

from domain.ticketed_event import EventCreated
from eventstore.codec import decode
from eventstore.history import StoredRow

PART_ROWS = 4_096
CREATED = (1, EventCreated.TOPIC)
# Thrown away at the end: nothing has to survive a crash. The cache is 32 MiB, which is also what is sorted at a time.
SETTINGS = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = FILE;
PRAGMA cache_size = -32768; PRAGMA threads = 1
"""
MAKE = """
CREATE TABLE rows (position, command_position, stream, version, topic, state);
CREATE TABLE creations (stream PRIMARY KEY, state) WITHOUT ROWID
"""
ADD = "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)"
ADD_CREATION = "INSERT OR IGNORE INTO creations VALUES (?, ?)"
CREATION = "SELECT state FROM creations WHERE stream = ?"
SORTED = "SELECT position, command_position, stream, version, topic, state FROM rows ORDER BY stream, version, position"


class StreamSorter:
    """Takes rows in any order; gives them by stream and version. Use `stream_sorter`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, rows: Sequence[StoredRow]) -> None:
        """More rows."""
        self._database.executemany(ADD, _with_bytes(rows))
        created = [(row.stream_id.bytes, row.state) for row in rows if row[3:5] == CREATED]
        self._database.executemany(ADD_CREATION, created)

    def creations(self, event_ids: Iterable[UUID]) -> list[EventCreated]:
        """How these events began, as far as that was among the rows."""
        created = []
        for event_id in event_ids:
            for (state,) in self._database.execute(CREATION, (event_id.bytes,)):
                try:
                    created.append(decode(event_id, 1, EventCreated.TOPIC, state))
                except msgspec.MsgspecError:
                    continue
        return [one for one in created if isinstance(one, EventCreated)]

    def by_stream(self) -> Iterator[list[StoredRow]]:
        """All rows, part by part."""
        cursor = self._database.execute(SORTED)
        while part := cursor.fetchmany(PART_ROWS):
            yield [
                StoredRow(position, command_position, UUID(bytes=stream), version, topic, state)
                for position, command_position, stream, version, topic, state in part
            ]


def _with_bytes(rows: Sequence[StoredRow]) -> Iterator[tuple[int, int, bytes, int, str, bytes]]:
    for position, command_position, stream_id, version, topic, state in rows:
        yield position, command_position, stream_id.bytes, version, topic, state


@contextmanager
def stream_sorter() -> Iterator[StreamSorter]:
    """A sorter with a folder of its own among the temporary files, as large as the export, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="tixxety-verify-") as folder:
        database = sqlite3.connect(Path(folder) / "rows", isolation_level=None)
        try:
            database.executescript(SETTINGS)
            database.executescript(MAKE)
            database.execute("BEGIN")
            yield StreamSorter(database)
        finally:
            database.close()
