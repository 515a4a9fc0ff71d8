"""The folded state of long streams, taken off the hot path so that loading one costs a short tail."""

import asyncio
import contextlib
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
import structlog

from domain.domain_event import KeptAggregate
from eventstore.postgres.connections import Connection

# Raise it with every change of a `Shape` or of what its fold keeps: snapshots of another shape are ignored.
SHAPE_VERSION = 6
# A stream gets its next snapshot when it grew by this many domain events, or by one for each entry of the last one if
# that is more: so taking snapshots costs a constant share of appending, however large the state. An entry is a buyer
# or a hold; what it takes decides without loading anything.
MIN_INTERVAL_VERSIONS = 1_000
ENTRY_BYTES = 50
SCAN_POSITIONS = 50_000

NEWEST = """
SELECT originator_version, state FROM snapshots
WHERE originator_id = %(stream_id)s AND shape_version = %(shape_version)s
"""
DROP_UNREADABLE = """
DELETE FROM snapshots
WHERE originator_id = %(stream_id)s AND shape_version = %(shape_version)s AND originator_version = %(version)s
"""
LOOKED_THROUGH = "SELECT coalesce(max(position), 0) FROM snapshots WHERE shape_version = %(shape_version)s"
GROWN = """
SELECT grown.originator_id
FROM (SELECT originator_id, max(originator_version) AS version FROM stored_events
      WHERE notification_id > %(after)s AND notification_id <= %(upto)s
      GROUP BY originator_id HAVING max(originator_version) >= %(interval)s) AS grown
LEFT JOIN snapshots s ON s.originator_id = grown.originator_id AND s.shape_version = %(shape_version)s
WHERE grown.version - coalesce(s.originator_version, 0)
      >= greatest(%(interval)s::bigint, octet_length(s.state) / %(entry_bytes)s::bigint)
"""
KEEP = """
INSERT INTO snapshots (originator_id, originator_version, shape_version, state, position)
VALUES (%(stream_id)s, %(version)s, %(shape_version)s, %(state)s, %(position)s)
ON CONFLICT (originator_id) DO UPDATE SET originator_version = excluded.originator_version,
    shape_version = excluded.shape_version, state = excluded.state, position = excluded.position,
    taken_at = excluded.taken_at
WHERE snapshots.shape_version <> excluded.shape_version
   OR snapshots.originator_version < excluded.originator_version
"""

log = structlog.get_logger()


class Snapshot(NamedTuple):
    """What is stored of an aggregate: its kind, when it changed last, and its shape."""

    topic: str
    modified_on: datetime
    shape: msgspec.Raw


_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_decoder = msgspec.msgpack.Decoder(Snapshot)


def pack(aggregate: KeptAggregate) -> bytes:
    """The state as MessagePack; its size grows as the shape does."""
    return _encoder.encode((aggregate.TOPIC, aggregate.modified_on, aggregate.shape()))


def unpack(version: int, state: bytes) -> KeptAggregate:
    """The aggregate as it was at `version` of its stream. Raises `msgspec.MsgspecError`, `LookupError`."""
    topic, modified_on, shape = _decoder.decode(state)
    kind, decoder = _kind(topic)
    aggregate = kind.restored(decoder.decode(shape))
    aggregate.version, aggregate.modified_on = version, modified_on
    return aggregate


def difference(aggregate: KeptAggregate, state: bytes) -> str | None:
    """The first part of a snapshot that is not what the aggregate has; None when all is the same.

    Raises `msgspec.MsgspecError`, `LookupError` for what is no snapshot of our shape.
    """
    folded = pack(aggregate)
    if state == folded:
        return None
    kept, wanted = _parts(state), _parts(folded)
    return next((part for part in wanted if kept.get(part) != wanted[part]), None)


def _parts(state: bytes) -> dict[str, Any]:
    topic, modified_on, shape = _decoder.decode(state)
    parts = msgspec.structs.asdict(_kind(topic)[1].decode(shape))
    return parts | {"topic": topic, "modified_on": modified_on}


@cache
def _kind(topic: str) -> tuple[type[KeptAggregate], msgspec.msgpack.Decoder[Any]]:
    kind = next((kind for kind in KeptAggregate.__subclasses__() if topic == kind.TOPIC), None)
    if kind is None:
        raise LookupError(f"There is no kind of aggregate {topic!r}")
    return kind, msgspec.msgpack.Decoder(kind.Shape)


async def newest(connection: Connection, stream_id: UUID) -> KeptAggregate | None:
    """The aggregate as of its snapshot, if it has one of our shape that can be read; else None.

    One that can't be is dropped, so that nobody else tries and the worker takes another one.
    """
    values: dict[str, Any] = {"stream_id": stream_id, "shape_version": SHAPE_VERSION}
    row = await (await connection.execute(NEWEST, values, binary=True)).fetchone()
    if row is None:
        return None
    try:
        return unpack(*row)
    except Exception as error:
        log.warning("a snapshot can't be read", stream=str(stream_id), version=row[0], error=repr(error))
    with contextlib.suppress(psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege):
        await connection.execute(DROP_UNREADABLE, values | {"version": row[0]})
    return None


async def looked_through(connection: Connection) -> int:
    """The position up to which every stream that needs a snapshot has one, by what the stored snapshots say."""
    rows = await (await connection.execute(LOOKED_THROUGH, {"shape_version": SHAPE_VERSION})).fetchall()
    return int(rows[0][0])


async def grown_streams(connection: Connection, after: int, upto: int) -> list[UUID]:
    """Streams with domain events between two positions that grew long enough since their snapshot for another one."""
    values = {"after": after, "upto": upto, "interval": MIN_INTERVAL_VERSIONS, "shape_version": SHAPE_VERSION}
    values["entry_bytes"] = ENTRY_BYTES
    return [row[0] for row in await (await connection.execute(GROWN, values)).fetchall()]


async def keep(connection: Connection, aggregate: KeptAggregate, position: int) -> None:
    """Store the snapshot, unless there is a newer one. Nobody else may have the aggregate: it is packed in a thread.

    `position` says up to where no other stream is in need of one.
    """
    values = {
        "stream_id": aggregate.id,
        "version": aggregate.version,
        "shape_version": SHAPE_VERSION,
        "state": await asyncio.to_thread(pack, aggregate),
        "position": position,
    }
    await connection.execute(KEEP, values)
