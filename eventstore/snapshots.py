"""The folded state of long streams, taken off the hot path so that loading one costs a short tail."""

import asyncio
import contextlib
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
import structlog

from domain.event_facts import EventCreated, EventDetails, Limits, SalesWindow
from domain.inventory import Buyer, Hold, Stock
from domain.ticketed_event import EventRecord, TicketedEvent
from eventstore.postgres.connections import Connection

# Raise it with every change of `Shape` or of what the fold keeps: snapshots of another shape are ignored.
SHAPE_VERSION = 4
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


class StockShape(NamedTuple):
    ticket_type_id: UUID
    capacity: int
    held: int
    sold: int


class Shape(msgspec.Struct, frozen=True):
    """All that a TicketedEvent keeps."""

    created: EventCreated
    modified_on: datetime
    details: EventDetails
    sales_window: SalesWindow
    limits: Limits
    cancelled: EventRecord | None
    changed_by: tuple[UUID, ...]
    stock: list[StockShape]
    holds: dict[UUID, Hold]
    buyers: dict[UUID, Buyer]


_shape_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_shape_decoder = msgspec.msgpack.Decoder(Shape)


def pack(event: TicketedEvent) -> bytes:
    """The state as MessagePack; its size grows with buyers and open holds only."""
    stock = [StockShape(i, s.capacity, s.held, s.sold) for i, s in event.stock.items()]
    shape = Shape(
        event.created,
        event.modified_on,
        event.details,
        event.sales_window,
        event.limits,
        event.cancelled_record,
        event.changed_by,
        stock,
        event.holds,
        event.buyers,
    )
    return _shape_encoder.encode(shape)


def unpack(version: int, state: bytes) -> TicketedEvent:
    """The event as it was at `version` of its stream."""
    shape = _shape_decoder.decode(state)
    event: Any = shape.created.mutate(None)
    event.version = version
    event.modified_on = shape.modified_on
    event.details, event.sales_window, event.limits = shape.details, shape.sales_window, shape.limits
    event.cancelled_record, event.changed_by = shape.cancelled, shape.changed_by
    offers = {t.ticket_type_id: t for t in shape.created.ticket_types}
    event.stock = {s.ticket_type_id: Stock(offers[s.ticket_type_id], s.capacity, s.held, s.sold) for s in shape.stock}
    event.buyers, event.holds = shape.buyers, shape.holds
    deadlines: dict[UUID, list[tuple[datetime, UUID]]] = {ticket_type_id: [] for ticket_type_id in event.stock}
    for reservation_id, hold in shape.holds.items():
        deadlines[hold.ticket_type_id].append((hold.hold_expires_at, reservation_id))
    for ticket_type_id, stock in event.stock.items():
        stock.deadlines.update(deadlines[ticket_type_id])
    restored: TicketedEvent = event
    return restored


def difference(event: TicketedEvent, state: bytes) -> str | None:
    """The first part of a snapshot that is not what the event has; None when all is the same.

    Raises `msgspec.MsgspecError` for what is no snapshot of our shape.
    """
    folded = pack(event)
    if state == folded:
        return None
    kept, wanted = _shape_decoder.decode(state), _shape_decoder.decode(folded)
    return next((part for part in Shape.__struct_fields__ if getattr(kept, part) != getattr(wanted, part)), None)


async def newest(connection: Connection, stream_id: UUID) -> TicketedEvent | None:
    """The event as of its snapshot, if it has one of our shape that can be read.

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
    """The position up to which all streams in need of a snapshot have one, as far as earlier processes have told."""
    rows = await (await connection.execute(LOOKED_THROUGH, {"shape_version": SHAPE_VERSION})).fetchall()
    return int(rows[0][0])


async def grown_streams(connection: Connection, after: int, upto: int) -> list[UUID]:
    """Streams with domain events between two positions that grew long enough since their snapshot for another one."""
    values = {"after": after, "upto": upto, "interval": MIN_INTERVAL_VERSIONS, "shape_version": SHAPE_VERSION}
    values["entry_bytes"] = ENTRY_BYTES
    return [row[0] for row in await (await connection.execute(GROWN, values)).fetchall()]


async def keep(connection: Connection, event: TicketedEvent, position: int) -> None:
    """Store the snapshot, unless there is a newer one. Nobody else may have the event: it is packed in a thread.

    `position` says up to where no other stream is in need of one.
    """
    values = {
        "stream_id": event.id,
        "version": event.version,
        "shape_version": SHAPE_VERSION,
        "state": await asyncio.to_thread(pack, event),
        "position": position,
    }
    await connection.execute(KEEP, values)
