"""Refused attempts, kept beside the history for those who will ask why they got nothing."""

import time
from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg.rows import args_row

from domain.commands import AnyCommand, CancelReservation, PayReservation
from domain.inventory import Stock
from domain.refusals import Refusal
from domain.ticketed_event import TicketedEvent
from eventstore.connections import Connection

# So many of one account in a minute: all that a person tries, and next to nothing of what a program does.
KEPT_A_MINUTE = 10
AGE_ROWS = 10_000

# The group's own domain events are visible here: what was decided before them stands so many positions back. A group
# whose outcome was unknown is tried again, and finds what it has kept.
KEEP = """
INSERT INTO refusals (request_id, refused_at, account_id, command, event_id, reservation_id, ticket_type_id, quantity,
                      code, facts, capacity, reserved, paid, position, last_kept)
SELECT request_id, refused_at, account_id, command, event_id, reservation_id, ticket_type_id, quantity,
       code, facts::jsonb, capacity, reserved, paid, head.position - behind, last_kept
FROM (SELECT coalesce(max(notification_id), 0) AS position FROM stored_events) AS head
CROSS JOIN unnest(
    %(request_id)b::uuid[], %(refused_at)b::timestamptz[], %(account_id)b::uuid[], %(command)b::text[],
    %(event_id)b::uuid[], %(reservation_id)b::uuid[], %(ticket_type_id)b::uuid[], %(quantity)b::int[], %(code)b::text[],
    %(facts)b::text[], %(capacity)b::int[], %(reserved)b::int[], %(paid)b::int[], %(behind)b::bigint[],
    %(last_kept)b::bool[])
    AS kept (request_id, refused_at, account_id, command, event_id, reservation_id, ticket_type_id, quantity, code,
             facts, capacity, reserved, paid, behind, last_kept)
ON CONFLICT (request_id) DO NOTHING
"""
# For a group that records nothing else: nobody is told that a refusal is durable, so its commit need not be waited for.
LOSABLE = "SET LOCAL synchronous_commit = off"
OF_BUYER = """
SELECT request_id, refused_at, account_id, command, event_id, reservation_id, ticket_type_id, quantity, code,
       facts::text AS facts, capacity, reserved, paid, position, last_kept
FROM refusals WHERE event_id = %(event_id)s AND account_id = %(account_id)s
ORDER BY position, refused_at LIMIT %(limit)s
"""
OF_RESERVATION = """
SELECT request_id, refused_at, account_id, command, event_id, reservation_id, ticket_type_id, quantity, code,
       facts::text AS facts, capacity, reserved, paid, position, last_kept
FROM refusals WHERE reservation_id = %(reservation_id)s ORDER BY position, refused_at LIMIT %(limit)s
"""
FORGET = """
DELETE FROM refusals WHERE request_id IN (
    SELECT request_id FROM refusals WHERE refused_at < clock_timestamp() - make_interval(days => %(days)s)
    LIMIT %(limit)s)
"""


class RefusedAttempt(NamedTuple):
    """A row of the table `refusals`, whose comments say what each column means; `facts` is JSON."""

    request_id: UUID
    refused_at: datetime
    account_id: UUID
    command: str
    event_id: UUID
    reservation_id: UUID | None
    ticket_type_id: UUID | None
    quantity: int | None
    code: str
    facts: str
    capacity: int | None
    reserved: int | None
    paid: int | None
    position: int
    last_kept: bool


class Keeping:
    """Decides which refusals one process keeps: the first ten of each account in each minute."""

    def __init__(self) -> None:
        self._minute = 0
        self._kept: Counter[UUID] = Counter()

    def attempt(
        self, command: AnyCommand, refusal: Refusal, event: TicketedEvent | None, now: datetime, rows_before: int
    ) -> RefusedAttempt | None:
        """What to keep of a refusal, None for nothing; `rows_before` stands in for its position until `keep`."""
        if command.actor is None:
            return None
        account_id = command.actor.account_id
        count = self._count(account_id)
        if count > KEPT_A_MINUTE:
            return None
        stock = _stock_asked_for(command, event)
        return RefusedAttempt(
            command.request_id,
            now,
            account_id,
            type(command).__name__,
            command.event_id,
            command.reservation_id if isinstance(command, PayReservation | CancelReservation) else None,
            stock.offer.ticket_type_id if stock else None,
            getattr(command, "quantity", None),
            refusal.code,
            msgspec.json.encode(refusal.facts).decode(),
            stock.capacity if stock else None,
            stock.held if stock else None,
            stock.sold if stock else None,
            rows_before,
            count == KEPT_A_MINUTE,
        )

    def _count(self, account_id: UUID) -> int:
        minute = int(time.monotonic()) // 60
        if minute != self._minute:
            self._minute = minute
            self._kept.clear()
        self._kept[account_id] += 1
        return self._kept[account_id]


async def keep(connection: Connection, attempts: list[RefusedAttempt], group_rows: int) -> None:
    """Insert what a group of `group_rows` appended rows has refused; part of its transaction."""
    columns: dict[str, Any] = dict(zip(RefusedAttempt._fields, map(list, zip(*attempts, strict=True)), strict=True))
    columns["behind"] = [group_rows - rows_before for rows_before in columns.pop("position")]
    await connection.execute(KEEP, columns, binary=True)


async def of_buyer(connection: Connection, event_id: UUID, account_id: UUID, limit: int) -> list[RefusedAttempt]:
    """What an account was refused at an event, in order, the first `limit`."""
    return await _attempts(connection, OF_BUYER, event_id=event_id, account_id=account_id, limit=limit)


async def of_reservation(connection: Connection, reservation_id: UUID, limit: int) -> list[RefusedAttempt]:
    """What anybody was refused who wanted to pay or cancel a reservation, in order, the first `limit`."""
    return await _attempts(connection, OF_RESERVATION, reservation_id=reservation_id, limit=limit)


async def forget(connection: Connection, days: int) -> int:
    """Delete some of what is older than `days`; how many rows that were, 0 once nothing is left to do."""
    return (await connection.execute(FORGET, {"days": days, "limit": AGE_ROWS})).rowcount


async def _attempts(connection: Connection, query: str, **values: Any) -> list[RefusedAttempt]:
    cursor = connection.cursor(binary=True, row_factory=args_row(RefusedAttempt))
    await cursor.execute(query, values, prepare=False)
    return await cursor.fetchall()


def _stock_asked_for(command: AnyCommand, event: TicketedEvent | None) -> Stock | None:
    """The stock of the ticket type that is meant: by its id, or as the event's only one."""
    if event is None:
        return None
    ticket_type_id = getattr(command, "ticket_type_id", None)
    if ticket_type_id is None and len(event.stock) == 1:
        return next(iter(event.stock.values()))
    return event.stock.get(ticket_type_id) if ticket_type_id else None
