"""Queries about reservations and about the projections themselves: lists by key, each bounded by `limit`."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import args_row

from domain.reservation import Status
from eventstore.box_office import BoxOffice
from eventstore.consumers.consumer import stopped_before
from eventstore.postgres import binary_parameters as binary
from eventstore.postgres.connections import Connection
from eventstore.postgres.round_trips import Statement, numbered
from eventstore.postgres.shared_reads import Ask
from projections.tables.reservations import ReservationRow
from projections.tables.table import columns

COLUMNS = columns(ReservationRow)
RESERVATION = f"SELECT {COLUMNS} FROM reservations WHERE reservation_id = %(reservation_id)s"  # noqa: S608
RESERVATIONS = f"""
SELECT {COLUMNS}
FROM reservations
WHERE buyer_id = %(buyer_id)s
  AND (%(status)s::text IS NULL OR status = %(status)s::text)
  AND (%(event_id)s::uuid IS NULL OR event_id = %(event_id)s::uuid)
  AND (%(after_placed_at)s::timestamptz IS NULL
       OR (placed_at, reservation_id) < (%(after_placed_at)s::timestamptz, %(after_reservation_id)s::uuid))
ORDER BY placed_at DESC, reservation_id DESC LIMIT %(limit)s
"""  # noqa: S608
OF_EVENT = f"""
SELECT {COLUMNS}
FROM reservations
WHERE event_id = %(event_id)s
  AND (%(status)s::text IS NULL OR status = %(status)s::text)
  AND (%(ticket_type_id)s::uuid IS NULL OR ticket_type_id = %(ticket_type_id)s::uuid)
  AND (%(buyer_id)s::uuid IS NULL OR buyer_id = %(buyer_id)s::uuid)
  AND (%(placed_from)s::timestamptz IS NULL OR placed_at >= %(placed_from)s::timestamptz)
  AND (%(placed_before)s::timestamptz IS NULL OR placed_at < %(placed_before)s::timestamptz)
  AND (%(after_placed_at)s::timestamptz IS NULL
       OR (placed_at, reservation_id) < (%(after_placed_at)s::timestamptz, %(after_reservation_id)s::uuid))
ORDER BY placed_at DESC, reservation_id DESC LIMIT %(limit)s
"""  # noqa: S608
DUE = """
SELECT reservation_id, event_id FROM reservations
WHERE status = 'reserved' AND hold_expires_at <= statement_timestamp()
ORDER BY hold_expires_at LIMIT %(limit)s
"""
NEXT_DUE = """
SELECT extract(epoch FROM hold_expires_at - statement_timestamp())::float8 FROM reservations
WHERE status = 'reserved' ORDER BY hold_expires_at LIMIT 1
"""
OF_CANCELLED_EVENTS = """
SELECT reservation_id, event_id FROM events JOIN reservations USING (event_id)
WHERE events.status = 'cancelled' AND events.position > %(after_position)s
  AND reservations.status IN ('reserved', 'paid')
ORDER BY events.position LIMIT %(limit)s
"""
READINESS = """
SELECT position, definitions_version, pid IS NOT NULL, substring(application_name FROM %(stopped)s::text)::bigint,
       pg_notification_queue_usage()
FROM checkpoint LEFT JOIN (pg_locks JOIN pg_stat_activity USING (pid))
    ON locktype = 'advisory' AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND classid = %(projector_class)s::oid AND objid = generation::oid AND objsubid = 2
"""

ONE = Statement("reservation", numbered(RESERVATION, "reservation_id"))
FILTERS = ("status", "event_id", "after_placed_at", "after_reservation_id")
NEWEST = Statement("newest_reservations", numbered(RESERVATIONS, "buyer_id", "limit", *FILTERS))


class OpenReservation(NamedTuple):
    """A reservation for the worker to end, and the event whose stream decides on it."""

    reservation_id: UUID
    event_id: UUID


class Readiness(NamedTuple):
    """Whether reading can be trusted: whose the tables are, and whether a projector holds their lock.

    `stopped_before` is the position of a domain event that the projector can't fold; None where it folds.
    `notification_queue` is how full the server's queue for NOTIFY is, 0 to 1: fuller than 0.5, we go on without it.
    """

    position: int
    definitions_version: int
    projector_holds_lock: bool
    stopped_before: int | None
    notification_queue: float


async def reservation(ask: Ask, reservation_id: UUID) -> ReservationRow | None:
    """One reservation, whoever its buyer is; None when there is none."""
    (rows,) = await ask((ONE, [binary.uuid(reservation_id)]))
    return ReservationRow(*rows[0]) if rows else None


async def newest_reservations(ask: Ask, buyer_id: UUID, limit: int) -> list[ReservationRow]:
    """What `reservations` gives without any filter."""
    (rows,) = await ask((NEWEST, [binary.uuid(buyer_id), binary.bigint(limit), *[None] * len(FILTERS)]))
    return [ReservationRow(*row) for row in rows]


async def reservations(
    connection: Connection,
    buyer_id: UUID,
    *,
    status: Status | None = None,
    event_id: UUID | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[ReservationRow]:
    """A buyer's reservations, newest first by (`placed_at`, `reservation_id`), those that come behind `after`."""
    after_placed_at, after_reservation_id = after or (None, None)
    values = {
        "buyer_id": buyer_id,
        "status": status,
        "event_id": event_id,
        "after_placed_at": after_placed_at,
        "after_reservation_id": after_reservation_id,
        "limit": limit,
    }
    async with connection.cursor(binary=True, row_factory=args_row(ReservationRow)) as cursor:
        # Never prepared, so that each combination of filters gets a plan of its own.
        await cursor.execute(RESERVATIONS, values, prepare=False)
        return await cursor.fetchall()


class OfEvent(NamedTuple):
    """Which reservations of an event: None selects all; placed from `placed_from` on, and before `placed_before`."""

    event_id: UUID
    status: Status | None = None
    ticket_type_id: UUID | None = None
    buyer_id: UUID | None = None
    placed_from: datetime | None = None
    placed_before: datetime | None = None


async def reservations_of_event(
    connection: Connection, wanted: OfEvent, *, after: tuple[datetime, UUID] | None = None, limit: int
) -> list[ReservationRow]:
    """An event's reservations, newest first by (`placed_at`, `reservation_id`), those that come behind `after`.

    The cost grows with `limit`, and where the filters select little with the number of the event's reservations.
    """
    after_placed_at, after_reservation_id = after or (None, None)
    values = wanted._asdict() | {"after_placed_at": after_placed_at, "after_reservation_id": after_reservation_id}
    async with connection.cursor(binary=True, row_factory=args_row(ReservationRow)) as cursor:
        # Never prepared, so that each combination of filters gets a plan of its own.
        await cursor.execute(OF_EVENT, values | {"limit": limit}, prepare=False)
        return await cursor.fetchall()


async def due_reservations(connection: Connection, limit: int) -> list[OpenReservation]:
    """Reservations whose hold is over by the database's clock, and that are not known to have ended; oldest first."""
    async with connection.cursor(binary=True, row_factory=args_row(OpenReservation)) as cursor:
        await cursor.execute(DUE, {"limit": limit})
        return await cursor.fetchall()


async def next_due_in_seconds(connection: Connection) -> float | None:
    """How long until the next hold is over, by the database's clock; negative when one is, None without any hold."""
    row = await (await connection.execute(NEXT_DUE)).fetchone()
    return row[0] if row else None


async def reservations_of_cancelled_events(
    connection: Connection, after_position: int, limit: int
) -> list[OpenReservation]:
    """Reservations still open of events that were cancelled after `after_position`, the first cancelled first.

    An empty answer means that all events cancelled up to the checkpoint, as read before asking, are done for good:
    the next question can start from there.
    """
    async with connection.cursor(binary=True, row_factory=args_row(OpenReservation)) as cursor:
        await cursor.execute(OF_CANCELLED_EVENTS, {"after_position": after_position, "limit": limit})
        return await cursor.fetchall()


def readiness_values(box_office: BoxOffice) -> dict[str, Any]:
    """The parameters of `READINESS`."""
    return {"projector_class": box_office.projector_class, "stopped": f"^{stopped_before('projector')}([0-9]+)$"}


async def readiness(connection: Connection) -> Readiness:
    """The projections' part in being ready; how far the history is ahead is for the caller to ask the history."""
    row = await (await connection.execute(READINESS, readiness_values(connection.box_office))).fetchone()
    if row is None:
        raise AssertionError("the checkpoint has no row")
    return Readiness(*row)
