"""What an export consists of, record by record, and the JSON lines that say so."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from auditing.export.errors import Unexportable
from eventstore.reading import StoredRow
from eventstore.seals.seal_keys import Jwk
from eventstore.seals.seals import Count, Seal

FORMAT_VERSION = 1
Scope = Literal["everything", "event"]
Topic = Annotated[str, msgspec.Meta(max_length=1_000)]


class _Record(msgspec.Struct, frozen=True, gc=False, tag_field="kind", forbid_unknown_fields=True, omit_defaults=True):
    """One line; `kind` comes first in each."""


class Head(_Record, frozen=True, tag="export"):
    """The first line: what was exported, at which head of the history, and when by the database's clock."""

    format_version: int
    scope: Scope
    event_id: UUID | None
    head: int
    exported_at: datetime


class PublicKey(_Record, frozen=True, tag="key"):
    """The public half of a key that seals are signed with, as a JWK (RFC 8037)."""

    kid: str
    kty: str
    crv: str
    x: str
    use: str
    alg: str

    def as_jwk(self) -> Jwk:
        """The same as JOSE libraries take it."""
        return msgspec.structs.asdict(self)


class DomainEventRecord(_Record, frozen=True, tag="domain-event"):
    """A domain event as it is stored; `state` is embedded byte by byte."""

    position: Count
    command_position: Count
    stream: UUID
    version: Count
    type: Topic
    state: msgspec.Raw

    def as_row(self) -> StoredRow:
        """The row that it was."""
        state = bytes(self.state)
        return StoredRow(self.position, self.command_position, self.stream, self.version, self.type, state)


class SealRecord(_Record, frozen=True, tag="seal"):
    """A seal, after the last exported domain event of its range.

    `fingerprints` are those of the exported domain events. `missing` is there where one event was exported: hashes in
    hexadecimal of the parts of the range that were not (see `eventstore.seals.merkle.proof`).
    """

    number: Count
    first_position: Count
    last_position: Count
    sealed_at: datetime
    jws: str
    fingerprints: bytes
    missing: tuple[str, ...] | None = None

    def as_seal(self) -> Seal:
        """The seal as it was stored, but for the fingerprints of what was not exported."""
        return Seal(self.number, self.first_position, self.last_position, self.sealed_at, self.jws, self.fingerprints)


class End(_Record, frozen=True, tag="end"):
    """The last line, so that a file that was cut is noticed; `sha256` is that of all bytes before it."""

    domain_events: int
    seals: int
    sha256: str


Record = Head | PublicKey | DomainEventRecord | SealRecord | End

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_any_json = msgspec.json.Decoder(msgspec.Raw)


def lines(records: Iterable[Record]) -> bytes:
    """The records as JSON lines, each with its newline."""
    return _encoder.encode_lines(records)


def record(line: bytes) -> Record:
    """What a line says. Raises `msgspec.DecodeError` for what is no JSON, `msgspec.ValidationError` for no record."""
    return _decoder.decode(line)


def domain_event_record(row: StoredRow) -> DomainEventRecord:
    """A stored row as a record. Raises `Unexportable` for a state that is no JSON on one line, as all that we store."""
    position, command_position, stream_id, version, topic, state = row
    try:
        whole = _any_json.decode(state)
    except msgspec.DecodeError as error:
        raise Unexportable(position) from error
    if len(bytes(whole)) != len(state) or b"\n" in state:
        raise Unexportable(position)
    return DomainEventRecord(position, command_position, stream_id, version, topic, whole)
