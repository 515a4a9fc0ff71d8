"""Writes an export as Parquet, for analysis: one row per domain event, without what proves them."""

from collections.abc import Sequence
from types import TracebackType
from typing import BinaryIO, Self

from auditing.export.errors import Unexportable
from auditing.export.records import DomainEventRecord, Head, Record, lines
from projections.exporting.pyarrow_import import pa, pq
from projections.tables import audit_trail
from projections.tables.audit_trail import AuditRow

# Held in memory by whoever writes or reads.
GROUP_ROWS = 32_768
# Key of the file's metadata: what was exported, and when, as in the first line of an export as NDJSON.
HEAD = "tixxety.export"

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
    ]
)


class Parquet:
    """Writes to a file that can be sought in, in groups of rows. A context: what is missing is written at its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._writer = pq.ParquetWriter(file, SCHEMA, compression="zstd")
        self._group: list[DomainEventRecord] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        if kind is None:
            self._write_group()
        self._writer.close()

    def write(self, records: Sequence[Record], _lines: bytes) -> None:
        """The next records. Raises `Unexportable` for a domain event that can't be read."""
        for record in records:
            if isinstance(record, DomainEventRecord):
                self._group.append(record)
            elif isinstance(record, Head):
                self._writer.add_key_value_metadata({HEAD: lines([record])})
            if len(self._group) >= GROUP_ROWS:
                self._write_group()

    def _write_group(self) -> None:
        said = list(map(audit_row, self._group))
        columns = {
            "position": [record.position for record in self._group],
            "command_position": [record.command_position for record in self._group],
            "stream": [str(record.stream) for record in self._group],
            "version": [record.version for record in self._group],
            "type": [record.type for record in self._group],
            "recorded_at": [row.recorded_at for row in said],
            "event_id": [str(row.event_id) for row in said],
            "reservation_id": [str(row.reservation_id) if row.reservation_id else None for row in said],
            "actor_id": [row.actor_id for row in said],
            "request_id": [str(row.request_id) for row in said],
            "state": [bytes(record.state) for record in self._group],
        }
        if self._group:
            self._writer.write_table(pa.table(columns, schema=SCHEMA), row_group_size=GROUP_ROWS)
        self._group.clear()


def audit_row(record: DomainEventRecord) -> AuditRow:
    """What a state says. Raises `Unexportable` where it says nothing."""
    try:
        position, _, domain_event = record.as_row().recorded()
        return audit_trail.fold(None, position, position, domain_event)
    except Exception as error:
        raise Unexportable(record.position) from error
