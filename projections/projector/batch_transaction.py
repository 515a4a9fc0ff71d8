"""One batch of the projector: whole commands in; changed rows, checkpoint and NOTIFY out, in one transaction."""

import asyncio
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg.rows import args_row

from eventstore import codec, reading
from eventstore.consumers.consumer import BATCH_DOMAIN_EVENTS
from eventstore.errors import CheckpointMoved
from eventstore.postgres.asyncio_tasks import end
from eventstore.postgres.connections import Connection
from eventstore.reading import Recorded
from projections import checkpoint
from projections.checkpoint import Checkpoint
from projections.errors import FoldFailed
from projections.projector.folding import Folding, Rows, failed
from projections.recent_changes import RecentChanges
from projections.tables import events, reservations, ticket_types
from projections.tables.all_tables import TABLES
from projections.tables.events import EventRow
from projections.tables.reservations import ReservationRow
from projections.tables.table import Key, Row, Table
from projections.tables.ticket_types import TicketTypeRow

# A hint that nobody depends on: where the server's queue of them fills up, batches go on without it.
NOTIFY = """
SELECT CASE WHEN pg_notification_queue_usage() < 0.5 THEN pg_notify(%(channel)s, position::text) END FROM advanced
"""

_json = msgspec.json.Encoder()

log = structlog.get_logger()


def one_statement() -> str:
    """The checkpoint and every table in one statement, which is all of its transaction, and one trip.

    So nothing is locked while the rows are on their way: whoever freezes keeps nobody waiting.
    """
    steps = {"advanced": checkpoint.ADVANCE} | {f"{table.name}_written": table.write for table in TABLES}
    return "WITH " + ", ".join(f"{name} AS ({text})" for name, text in steps.items()) + NOTIFY


WRITE = one_statement()


class Batch(NamedTuple):
    """Whole commands, folded: the rows that they changed, by table, to be written up to `position`."""

    limit: int
    recorded: list[Recorded]
    changed: dict[str, Rows]

    @property
    def position(self) -> int:
        return self.recorded[-1].position


class Batches:
    """Folds batch after batch from a checkpoint on; any failure leaves it knowing nothing and the tables unchanged.

    Between batches it remembers the rows that the last one changed. With a `reader` the next batch is read and folded
    while one is written, as long as batches are full; `reader` is None once it is lost, and all goes on without it.
    Memory is bounded by three batches.
    """

    def __init__(self, connection: Connection, start: Checkpoint, reader: Connection | None = None) -> None:
        self.position = start.position
        self._connection = connection
        self.reader = reader
        self._generation = start.generation
        self._folding = Folding(TABLES)
        self._recent_changes = RecentChanges(start.position)
        self._ahead: Batch | None = None

    async def fold_next(self, limit: int = BATCH_DOMAIN_EVENTS) -> int:
        """Fold the next `limit` domain events and the rest of the last one's command; returns how many.

        Raises `FoldFailed`; `CheckpointMoved` when another projector has written; `psycopg.Error`.
        """
        try:
            batch = self._take_ahead(limit) or await self._folded(self._connection, self.position, limit)
            if batch is not None:
                self._ahead = await self._write_and_fold_on(batch)
                self.position = batch.position
        except FoldFailed as failure:
            self._forget()
            # Rows that another projector has brought further can't be folded from here; no domain event is to blame.
            now = await checkpoint.read(self._connection)
            if (now.position, now.generation) != (self.position, self._generation):
                raise CheckpointMoved from failure
            raise
        except BaseException:
            self._forget()
            raise
        return len(batch.recorded) if batch else 0

    def _take_ahead(self, limit: int) -> Batch | None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.limit != limit:
            self._forget()
            return None
        return ahead

    def _forget(self) -> None:
        self._folding.forget()
        self._ahead = None
        self._recent_changes = RecentChanges(self.position)

    async def _folded(self, connection: Connection, after: int, limit: int) -> Batch | None:
        """The next batch; None when there is nothing. What the one before it changed is known, written or not."""
        recorded = await self._read(connection, after, limit)
        if not recorded:
            return None
        for table, keys in self._folding.missing(recorded):
            self._folding.learn(table, await self._rows(connection, table, keys))
        changed = self._folding.fold(recorded)
        self._folding.forget(but=changed)
        return Batch(limit, recorded, changed)

    async def _write_and_fold_on(self, batch: Batch) -> Batch | None:
        """Write, and meanwhile fold what comes next: no row that it has to read is among those being written."""
        if self.reader is None or len(batch.recorded) < batch.limit:
            await self._write(batch)
            return None
        folding = asyncio.create_task(self._folded(self.reader, batch.position, batch.limit))
        try:
            await self._write(batch)
        except BaseException:
            await end(folding)
            raise
        (ahead,) = await asyncio.gather(folding, return_exceptions=True)
        if isinstance(ahead, BaseException):
            # What can't be folded is told when its turn comes.
            self._folding.forget()
            if self.reader.closed:
                log.warning("the connection that reads ahead is lost", error=repr(ahead))
                self.reader = None
            return None
        return ahead

    async def _read(self, connection: Connection, after: int, limit: int) -> list[Recorded]:
        try:
            return await reading.read_after(connection, after, limit)
        except psycopg.Error:
            raise
        except Exception as error:
            raise await _first_unreadable(connection, after, error) from error

    async def _rows(self, connection: Connection, table: Table, keys: list[Key]) -> list[Row]:
        async with connection.cursor(binary=True, row_factory=args_row(table.row)) as cursor:
            await cursor.execute(table.read, table.asked(keys))
            return await cursor.fetchall()

    async def _write(self, batch: Batch) -> None:
        values: dict[str, Any] = {
            name: _json.encode(list(rows.values())).decode() for name, rows in batch.changed.items()
        }
        recent_changes = self._recent_changes.with_batch(_looks_changed(batch), self.position, batch.position)
        values["recent_changes"] = _json.encode(recent_changes).decode()
        values["position"] = batch.position
        values["position_before"], values["generation"] = self.position, self._generation
        values["channel"] = self._connection.box_office.projections
        try:
            cursor = await self._connection.execute(WRITE, values)
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            raise failed(_culprit(batch.recorded, error), str(error)) from error
        if cursor.rowcount != 1:
            raise CheckpointMoved


def _looks_changed(batch: Batch) -> dict[UUID, int]:
    """The events of which a batch has changed what anybody is shown, each with the position of its last change."""
    changed: dict[UUID, int] = {}
    # Of reservations it is shown when the first hold ends.
    shown = [batch.changed[table.TABLE.name] for table in (events, ticket_types, reservations)]
    for row in (row for rows in shown for row in rows.values()):
        assert isinstance(row, EventRow | TicketTypeRow | ReservationRow)  # noqa: S101 - those are the rows of these
        changed[row.event_id] = max(row.position, changed.get(row.event_id, 0))
    return changed


async def _first_unreadable(connection: Connection, after: int, error: Exception) -> FoldFailed | Exception:
    """Which of the next domain events it is that can't be read; `error` itself if all of them can."""
    while True:
        values = {"after": after, "limit": BATCH_DOMAIN_EVENTS}
        rows = await (await connection.execute(reading.READ_AFTER, values, binary=True)).fetchall()
        for after, _, stream_id, version, topic, state in rows:
            try:
                codec.decode(stream_id, version, topic, state)
            except Exception as unreadable:
                return FoldFailed(after, stream_id, version, topic, repr(unreadable))
        if not rows:
            return error


def _culprit(recorded: list[Recorded], error: psycopg.Error) -> Recorded:
    """The first domain event that touches the table which refused its row; exact for a batch of one command."""
    refused = [table for table in TABLES if table.name == error.diag.table_name]
    touching = (one for one in recorded if any(type(one.domain_event) in table.changed_keys for table in refused))
    return next(touching, recorded[0])
