"""Reads an export as Parquet, a part at a time: the same records as those of NDJSON."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from auditing.export.ndjson_reader import FileBroken
from auditing.export.parquet_writer import END, FIRST_SEALS, FROM_STATE, HEAD, KEYS, SCHEMA, audit_row, from_state
from auditing.export.records import (
    FORMAT_VERSION,
    Count,
    DomainEventRecord,
    End,
    Head,
    PublicKey,
    Record,
    SealRecord,
    Topic,
    Unexportable,
    lines,
    record,
)
from auditing.findings import Findings, Rule, place_of
from projections.exporting.arrow import pa, pq
from projections.tables.audit_trail import AuditRow

PART_ROWS = 2_048
STORED_AS = {"position": Count, "command_position": Count, "stream": UUID, "version": Count, "type": Topic}


class ParquetFile:
    """An export; `name` is for people. `digest` is the SHA-256 of the same records as JSON lines.

    Columns that don't say what the state says are findings, where these are wanted.
    """

    def __init__(self, file: BinaryIO, name: Path, findings: Findings | None) -> None:
        self._file = file
        self._name = name
        self._findings = findings
        self._digest = sha256()

    @property
    def digest(self) -> str:
        """In hexadecimal."""
        return self._digest.hexdigest()

    def records(self) -> Iterator[list[Record]]:
        """All records, part by part. Raises `FileBroken`."""
        with self._wrong():
            file = pq.ParquetFile(self._file, page_checksum_verification=True)
            metadata: dict[bytes, bytes] = file.metadata.metadata or {}
            has_our_columns = file.schema_arrow.equals(SCHEMA)
        if not has_our_columns or HEAD.encode() not in metadata:
            raise FileBroken(f"{self._name} is no export of a history: it has other columns.")
        beginning: list[Record] = []
        for key, kind in ((HEAD, Head), (KEYS, PublicKey), (FIRST_SEALS, SealRecord)):
            beginning += self._in_text(metadata.get(key.encode(), b""), kind)
        if not beginning or not isinstance(beginning[0], Head) or beginning[0].format_version != FORMAT_VERSION:
            raise FileBroken(f"{self._name} has another format; this program reads {FORMAT_VERSION}.")
        yield self._counted(beginning)
        with self._wrong():
            for batch in file.iter_batches(PART_ROWS):
                yield self._counted(self._of_batch(batch))
        end = self._in_text(metadata.get(END.encode(), b""), End)
        if len(end) != 1:
            raise FileBroken(f"{self._name} has no end in its metadata.")
        yield list(end)

    @contextmanager
    def _wrong(self) -> Iterator[None]:
        """What Arrow says of a broken file, in a sentence."""
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            raise FileBroken(f"{self._name} is broken: {' '.join(str(error).split())}") from error

    def _counted(self, records: list[Record]) -> list[Record]:
        self._digest.update(lines(records))
        return records

    def _in_text(self, text: bytes, kind: type[Record]) -> list[Record]:
        """JSON lines that are all of one kind."""
        try:
            records = [record(line) for line in text.splitlines()]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FileBroken(f"{self._name} has something in it that is no record: {error}.") from error
        if lines(records) != text:
            raise FileBroken(f"{self._name} has a {kind.__name__} in it that is not as it was written.")
        if any(type(one) is not kind for one in records):
            raise FileBroken(f"{self._name} has a record of another kind than {kind.__name__} in its place.")
        return records

    def _of_batch(self, batch: Any) -> list[Record]:
        stored = [self._column(batch, name, kind) for name, kind in STORED_AS.items()]
        states = batch.column("state").cast(pa.binary()).to_pylist()
        records: list[Record] = []
        rows: list[DomainEventRecord] = []
        for position, command_position, stream, version, topic, state, seals in zip(
            *stored, states, batch.column("seals").to_pylist(), strict=True
        ):
            rows.append(DomainEventRecord(position, command_position, stream, version, topic, msgspec.Raw(state)))
            records.append(rows[-1])
            if seals:
                records += self._in_text(seals.encode(), SealRecord)
        if self._findings is not None:
            self._compare(batch, rows, self._findings)
        return records

    def _column(self, batch: Any, name: str, kind: Any) -> list[Any]:
        try:
            values: list[Any] = msgspec.convert(batch.column(name).to_pylist(), list[kind])
        except msgspec.ValidationError as error:
            raise FileBroken(f"{self._name} has something else in its column {name}: {error}.") from error
        return values

    @staticmethod
    def _compare(batch: Any, rows: list[DomainEventRecord], findings: Findings) -> None:
        """Do the columns that repeat a state say what it says? Of a state that says nothing, others tell."""
        said: list[AuditRow | None] = []
        for row in rows:
            try:
                said.append(audit_row(row))
            except Unexportable:
                said.append(None)
        readable = [one is not None for one in said]
        expected = from_state(one for one in said if one is not None)
        for name in FROM_STATE:
            column = batch.column(name).filter(pa.array(readable))
            if column.equals(pa.array(expected[name], SCHEMA.field(name).type)):
                continue
            those = [row for row, is_readable in zip(rows, readable, strict=True) if is_readable]
            for row, ours, theirs in zip(those, expected[name], column.to_pylist(), strict=True):
                if ours != theirs:
                    sentence = f"The column {name} says {theirs}, the state {ours}."
                    place = place_of(row.stream, row.version)
                    findings.add(row.position, Rule.FILE_ALTERED, place, sentence)
