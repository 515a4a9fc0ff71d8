"""Writes an export as Parquet: one row per domain event, and beside the columns what proves them."""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, BinaryIO, Self

from auditing.export.records import (
    DomainEventRecord,
    Head,
    PublicKey,
    Record,
    SealRecord,
    Unexportable,
    lines,
)
from projections.exporting.arrow import pa, pq
from projections.tables import audit_trail
from projections.tables.audit_trail import AuditRow

# Held in memory by whoever writes or reads.
GROUP_ROWS = 32_768
# Keys of the file's metadata; each value is JSON lines, as in an export as NDJSON.
HEAD, KEYS, FIRST_SEALS, END = "tixxety.export", "tixxety.keys", "tixxety.seals", "tixxety.end"

SCHEMA = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("command_position", pa.int64(), nullable=False),
        pa.field("stream", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("recorded_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("reservation_id", pa.string()),
        pa.field("actor_id", pa.string()),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        # The seals that come after this row, as JSON lines: in the footer they would have to be held in memory.
        pa.field("seals", pa.string()),
    ]
)
STORED = ("position", "command_position", "stream", "version", "type", "state")
FROM_STATE = ("recorded_at", "event_id", "reservation_id", "actor_id", "request_id")


class Parquet:
    """Writes to a file that can be sought in, in groups of rows. A context: what is missing is written at its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._writer = pq.ParquetWriter(file, SCHEMA, compression="zstd", write_page_checksum=True)
        self._group: list[DomainEventRecord] = []
        self._seals: dict[int, bytes] = {}
        self._metadata = {HEAD: b"", KEYS: b"", FIRST_SEALS: b"", END: b""}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        if kind is None:
            self._write_group()
            self._writer.add_key_value_metadata(self._metadata)
        self._writer.close()

    def write(self, records: Sequence[Record], _lines: bytes) -> None:
        """The next records. Raises `Unexportable` for a domain event that can't be read."""
        for record in records:
            if isinstance(record, DomainEventRecord):
                # A full group waits for the next domain event, since seals may follow its last one.
                if len(self._group) >= GROUP_ROWS:
                    self._write_group()
                self._group.append(record)
            elif isinstance(record, SealRecord) and self._group:
                place = len(self._group) - 1
                self._seals[place] = self._seals.get(place, b"") + lines([record])
            else:
                key = _metadata_key(record)
                self._metadata[key] += lines([record])

    def _write_group(self) -> None:
        columns = from_state(map(audit_row, self._group)) | {
            "position": [record.position for record in self._group],
            "command_position": [record.command_position for record in self._group],
            "stream": [str(record.stream) for record in self._group],
            "version": [record.version for record in self._group],
            "type": [record.type for record in self._group],
            "state": [bytes(record.state) for record in self._group],
            "seals": [self._seals.get(place) for place in range(len(self._group))],
        }
        if self._group:
            self._writer.write_table(pa.table(columns, schema=SCHEMA), row_group_size=GROUP_ROWS)
        self._group.clear()
        self._seals.clear()


def from_state(rows: Iterable[AuditRow]) -> dict[str, list[Any]]:
    """The columns that repeat what a state says, so that it need not be taken apart by those who look through it."""
    columns: dict[str, list[Any]] = {name: [] for name in FROM_STATE}
    recorded_at, event_id, reservation_id, actor_id, request_id = columns.values()
    for row in rows:
        recorded_at.append(row.recorded_at)
        event_id.append(str(row.event_id))
        reservation_id.append(str(row.reservation_id) if row.reservation_id else None)
        actor_id.append(row.actor_id)
        request_id.append(str(row.request_id))
    return columns


def audit_row(record: DomainEventRecord) -> AuditRow:
    """What a state says. Raises `Unexportable` where it says nothing."""
    try:
        position, _, domain_event = record.as_row().recorded()
        return audit_trail.fold(None, position, position, domain_event)
    except Exception as error:
        raise Unexportable(record.position) from error


def _metadata_key(record: Record) -> str:
    match record:
        case Head():
            return HEAD
        case PublicKey():
            return KEYS
        case SealRecord():
            return FIRST_SEALS
        case _:
            return END
