"""One batch of the runner: whole commands in; changed rows, checkpoint and NOTIFY out, in one transaction."""

import asyncio
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg.rows import args_row

from eventstore import codec, history
from eventstore.connections import Connection
from eventstore.history import Recorded
from projections import checkpoint
from projections.checkpoint import CHANNEL, Checkpoint
from projections.failures import CheckpointMoved, FoldFailed
from projections.folding import Folding, failed
from projections.table import Key, Row, Table
from projections.tables import TABLES

BATCH_DOMAIN_EVENTS = 4_096

NOTIFY = "SELECT pg_notify(%(channel)s, position::text) FROM advanced"

_json = msgspec.json.Encoder()


def one_statement() -> str:
    """The checkpoint and every table in one statement: nothing is locked while the rows are on their way.

    A client that freezes between two statements of a transaction can be timed out by the server, but not one that
    freezes in the middle of sending one.
    """
    steps = {"advanced": checkpoint.ADVANCE} | {f"{table.name}_written": table.write for table in TABLES}
    return "WITH " + ", ".join(f"{name} AS ({text})" for name, text in steps.items()) + NOTIFY


WRITE = one_statement()


class ReadAhead(NamedTuple):
    """The batch after this one, read by the same limit."""

    limit: int
    recorded: list[Recorded]


class Batches:
    """Folds batch after batch from a checkpoint on; any failure leaves it knowing nothing and the tables unchanged.

    Between batches it remembers the rows that the last one changed. With a `reader` the next batch is read while one is
    written, as long as batches are full. Memory is bounded by three batches.
    """

    def __init__(self, connection: Connection, start: Checkpoint, reader: Connection | None = None) -> None:
        self.position = start.position
        self._connection = connection
        self._reader = reader
        self._ahead: ReadAhead | None = None
        self._generation = start.generation
        self._folding = Folding(TABLES)

    async def fold_next(self, limit: int = BATCH_DOMAIN_EVENTS) -> int:
        """Fold the next `limit` domain events and the rest of the last one's command; returns how many.

        Raises `FoldFailed`; `CheckpointMoved` when another runner has written; `psycopg.Error`.
        """
        try:
            recorded = await self._read(limit)
            if recorded:
                for table, keys in self._folding.missing(recorded):
                    self._folding.learn(table, await self._rows(table, keys))
                changed = self._folding.fold(recorded)
                rows = {name: list(rows.values()) for name, rows in changed.items()}
                ahead = await self._write_and_read(recorded, rows, limit)
                self._folding.forget(but=changed)
                self.position, self._ahead = recorded[-1].position, ahead
        except FoldFailed as failure:
            self._folding.forget()
            # Rows that another runner has brought further can't be folded from here; no domain event is to blame.
            now = await checkpoint.read(self._connection)
            if (now.position, now.generation) != (self.position, self._generation):
                raise CheckpointMoved from failure
            raise
        except BaseException:
            self._folding.forget()
            raise
        return len(recorded)

    async def _write_and_read(
        self, recorded: list[Recorded], changed: dict[str, list[Row]], limit: int
    ) -> ReadAhead | None:
        """Write, and meanwhile read on; what can't be read is told when its turn comes."""
        if self._reader is None or len(recorded) < limit:
            await self._write(recorded, changed)
            return None
        reading = asyncio.create_task(history.read_after(self._reader, recorded[-1].position, limit))
        try:
            await self._write(recorded, changed)
        except BaseException:
            reading.cancel()
            await asyncio.wait([reading])
            raise
        (read,) = await asyncio.gather(reading, return_exceptions=True)
        return None if isinstance(read, BaseException) else ReadAhead(limit, read)

    async def _read(self, limit: int) -> list[Recorded]:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.limit == limit and ahead.recorded:
            return ahead.recorded
        try:
            return await history.read_after(self._connection, self.position, limit)
        except psycopg.Error:
            raise
        except Exception as error:
            raise await self._first_unreadable(error) from error

    async def _first_unreadable(self, error: Exception) -> FoldFailed | Exception:
        """Which of the next domain events it is that can't be read; `error` itself if all of them can."""
        after = self.position
        while True:
            values = {"after": after, "limit": BATCH_DOMAIN_EVENTS}
            rows = await (await self._connection.execute(history.READ_AFTER, values, binary=True)).fetchall()
            for after, _, stream_id, version, topic, state in rows:
                try:
                    codec.decode(stream_id, version, topic, state)
                except Exception as unreadable:
                    return FoldFailed(after, stream_id, version, topic, repr(unreadable))
            if not rows:
                return error

    async def _rows(self, table: Table, keys: list[Key]) -> list[Row]:
        async with self._connection.cursor(binary=True, row_factory=args_row(table.row)) as cursor:
            await cursor.execute(table.read, table.asked(keys))
            return await cursor.fetchall()

    async def _write(self, recorded: list[Recorded], changed: dict[str, list[Row]]) -> None:
        values: dict[str, Any] = {name: _json.encode(rows).decode() for name, rows in changed.items()}
        values["position"] = recorded[-1].position
        values["position_before"], values["generation"] = self.position, self._generation
        values["channel"] = CHANNEL
        try:
            async with self._connection.transaction():
                cursor = await self._connection.execute(WRITE, values)
                if cursor.rowcount != 1:
                    raise CheckpointMoved
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            raise failed(_culprit(recorded, error), str(error)) from error


def _culprit(recorded: list[Recorded], error: psycopg.Error) -> Recorded:
    """The first domain event that touches the table which refused its row; exact for a batch of one command."""
    refused = [table for table in TABLES if table.name == error.diag.table_name]
    touching = (one for one in recorded if any(type(one.domain_event) in table.touches for table in refused))
    return next(touching, recorded[0])
