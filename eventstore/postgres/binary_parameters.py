"""Parameters in PostgreSQL's binary format, for statements that are sent without psycopg's adaptation."""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

BYTEA, INT8, TEXT, UUID_OID = 17, 20, 25, 2950

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_integer = struct.Struct("!i").pack
_one_dimension = struct.Struct("!iiiii").pack
_empty = struct.Struct("!iii").pack
_bigint = struct.Struct("!q").pack
_bigint_item = struct.Struct("!iq").pack


def integer(number: int) -> bytes:
    """An `integer`."""
    return _integer(number)


def bigint(number: int) -> bytes:
    """A `bigint`."""
    return _bigint(number)


def uuid(one: UUID) -> bytes:
    """A `uuid`."""
    return one.bytes


def uuid_if_any(one: UUID | None) -> bytes | None:
    """A `uuid`, or NULL."""
    return None if one is None else one.bytes


def timestamptz(instant: datetime) -> bytes:
    """A `timestamptz`: microseconds since 2000."""
    return _bigint((instant - _EPOCH) // _MICROSECOND)


def bigints(numbers: Sequence[int]) -> bytes:
    """A `bigint[]`."""
    return _array(INT8, len(numbers), (_bigint_item(8, number) for number in numbers))


def uuids(ids: Sequence[UUID]) -> bytes:
    """A `uuid[]`."""
    sixteen = _integer(16)
    return _array(UUID_OID, len(ids), (sixteen + each.bytes for each in ids))


def texts(values: Sequence[str]) -> bytes:
    """A `text[]`."""
    return _array(TEXT, len(values), (_integer(len(data)) + data for data in (value.encode() for value in values)))


def byteas(values: Sequence[bytes]) -> bytes:
    """A `bytea[]`."""
    return _array(BYTEA, len(values), (_integer(len(data)) + data for data in values))


def _array(element: int, count: int, items: Iterable[bytes]) -> bytes:
    """One dimension that begins with 1 and has no NULL."""
    return _one_dimension(1, 0, element, count, 1) + b"".join(items) if count else _empty(0, 0, element)
