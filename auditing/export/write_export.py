"""Exports the history, or one event's part of it, as it is at one moment, through a writer of some format."""

from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from typing import Any, BinaryIO, Protocol
from uuid import UUID

import msgspec
import psycopg

from auditing.export.cloud_events import cloud_event
from auditing.export.export_source import everything, expect_event, one_event
from auditing.export.records import (
    FORMAT_VERSION,
    DomainEventRecord,
    End,
    Head,
    PublicKey,
    Record,
    SealRecord,
    lines,
)
from eventstore import reading
from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import BY_INDEX, Connection, connect
from eventstore.seals import seal_keys
from projections.progress_callback import ProgressCallback, no_progress

# The moment lasts as long as the export, and whoever reads its output may pause.
SETTINGS: dict[str, str] = {**BY_INDEX, "idle_in_transaction_session_timeout": "0"}


class Writer(Protocol):
    """What writes an export in one format. `lines` are the same records as `records`, already as JSON lines."""

    def write(self, records: Sequence[Record], lines: bytes) -> None:
        """The next records: the head, the keys, domain events and seals, the end."""


class Ndjson:
    """The lines as they are."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, _records: Sequence[Record], lines: bytes) -> None:
        self._file.write(lines)


class CloudEvents:
    """The domain events alone, as CloudEvents, one on a line."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._encoder = msgspec.json.Encoder()

    def write(self, records: Sequence[Record], _lines: bytes) -> None:
        sent = [cloud_event(record.as_row()) for record in records if isinstance(record, DomainEventRecord)]
        self._file.write(self._encoder.encode_lines(sent))


async def export(
    box_office: BoxOffice | str, event_id: UUID | None, writer: Writer, on_progress: ProgressCallback = no_progress
) -> End:
    """Write everything, or what is about one event; returns the last record. Memory is bounded.

    `on_progress` gets the last position written and the head, every few thousand positions. Raises `EventUnknown` and
    `Unexportable`.
    """
    async with await connect(box_office, None, **SETTINGS) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        async with connection.transaction():
            return await _export(connection, event_id, writer, on_progress)


async def _export(connection: Connection, event_id: UUID | None, writer: Writer, on_progress: ProgressCallback) -> End:
    if event_id is not None:
        await expect_event(connection, event_id)
    head = await reading.head(connection)
    digest = sha256()
    domain_events = seals = 0
    async for records in _records(connection, event_id, head):
        text = lines(records)
        digest.update(text)
        writer.write(records, text)
        domain_events += sum(isinstance(record, DomainEventRecord) for record in records)
        seals += sum(isinstance(record, SealRecord) for record in records)
        on_progress(_last_position(records), head)
    end = End(domain_events, seals, digest.hexdigest())
    writer.write([end], lines([end]))
    return end


async def _records(connection: Connection, event_id: UUID | None, head: int) -> AsyncIterator[Sequence[Record]]:
    now = await reading.now(connection)
    yield [Head(FORMAT_VERSION, "event" if event_id else "everything", event_id, head, now)]
    yield [msgspec.convert(key, PublicKey) for key in await seal_keys.published(connection)]
    parts: Any = one_event(connection, event_id) if event_id else everything(connection)
    async for records in parts:
        yield records


def _last_position(records: Sequence[Record]) -> int:
    positions = (record.position for record in reversed(records) if isinstance(record, DomainEventRecord))
    return next(positions, 0)
