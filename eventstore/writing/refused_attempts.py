"""Refused attempts, kept beside the history for those who will ask why they got nothing."""

import time
from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg.rows import args_row

from domain.commands import CancelReservation, Command, ExtendReservation, PayReservation, RevokeReservation
from domain.domain_event import Aggregate
from domain.errors import Refusal
from domain.inventory import Stock
from domain.ticketed_event import TicketedEvent
from eventstore.postgres import binary_parameters as binary
from eventstore.postgres.connections import Connection
from eventstore.postgres.round_trips import Statement

# So many of one account in a minute: all that a person tries, and next to nothing of what a program does.
KEPT_A_MINUTE = 10
OF_RESERVATIONS = ExtendReservation | PayReservation | CancelReservation | RevokeReservation
AGE_ROWS = 10_000

# $1 is a JSON array with an object for each row. The group's own domain events are visible here: what was decided
# before them stands so many positions back.
KEEP = Statement(
    "keep_refusals",
    """
INSERT INTO refused_together (
    first_request_id, request_ids, account_ids, refused_at, command, event_id, reservation_id, ticket_type_id,
    quantity, code, facts, capacity, reserved, paid, position, last_kept, withheld)
SELECT request_ids[1], request_ids, account_ids, $2::timestamptz, command, event_id, reservation_id, ticket_type_id,
       quantity, code, facts, capacity, reserved, paid, head.position - behind, last_kept, withheld
FROM json_to_recordset($1::json) AS refused (
         request_ids uuid[], account_ids uuid[], command text, event_id uuid, reservation_id uuid, ticket_type_id uuid,
         quantity integer, code text, facts json, capacity integer, reserved integer, paid integer, behind integer,
         last_kept boolean, withheld integer),
     (SELECT coalesce(max(notification_id), 0) AS position FROM stored_events) AS head
ON CONFLICT DO NOTHING
""",
)
# For a group that records nothing else: nobody is told that a refusal is durable, so its commit need not be waited for.
LOSABLE = Statement("losable", "SET LOCAL synchronous_commit = off")
ATTEMPT_COLUMNS = """request_id, refused_at, account_id, command, event_id, reservation_id, ticket_type_id, quantity,
       code, facts::text AS facts, capacity, reserved, paid, position, last_kept, withheld"""
ATTEMPTS = f"""
SELECT {ATTEMPT_COLUMNS}
FROM refused_together, unnest(request_ids, account_ids) AS attempt (request_id, account_id)
"""  # noqa: S608
OF_BUYER = f"""
{ATTEMPTS}
WHERE event_id = %(event_id)s AND account_ids @> ARRAY[%(account_id)s::uuid] AND account_id = %(account_id)s::uuid
ORDER BY position, refused_at, request_id LIMIT %(limit)s
"""
OF_RESERVATION = f"""
{ATTEMPTS}
WHERE reservation_id = %(reservation_id)s ORDER BY position, refused_at, request_id LIMIT %(limit)s
"""
FORGET = """
DELETE FROM refused_together WHERE first_request_id IN (
    SELECT first_request_id FROM refused_together
    WHERE refused_at < clock_timestamp() - make_interval(days => %(days)s) LIMIT %(limit)s)
"""


class RefusedAttempt(NamedTuple):
    """A row of the view `refusals`; the comments of the table behind it say what each column means. `facts` is JSON."""

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
    withheld: int | None = None


class CommonFacts(NamedTuple):
    """What refused attempts of one group have in common."""

    command: str
    event_id: UUID
    reservation_id: UUID | None
    ticket_type_id: UUID | None
    quantity: int | None
    code: str
    facts: bytes
    capacity: int | None
    reserved: int | None
    paid: int | None
    last_kept: bool
    withheld: int | None


class RefusedGroup(NamedTuple):
    """The attempts that were refused for the same `CommonFacts`, and how many rows the group had before the first."""

    rows_before: int
    request_ids: list[UUID]
    account_ids: list[UUID]


class Keeping:
    """Counts the refusals of each account in this minute, of which one process keeps the first ten."""

    def __init__(self) -> None:
        self._minute = 0
        self._kept: Counter[UUID] = Counter()

    def kept(self, account_id: UUID) -> int:
        """How many of the account's refusals in this minute were kept or counted so far."""
        minute = int(time.monotonic()) // 60
        if minute != self._minute:
            self._minute = minute
            self._kept.clear()
        return self._kept[account_id]

    def count(self, refused: Counter[UUID]) -> None:
        """Refusals, by account, of a group that has committed."""
        self._kept.update(refused)


class Refusals:
    """What one group has refused and will keep."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping
        self._refused: Counter[UUID] = Counter()
        self.together: dict[CommonFacts, RefusedGroup] = {}

    def __bool__(self) -> bool:
        return bool(self.together)

    def add(self, command: Command, refusal: Refusal, event: Aggregate | None, rows_before: int) -> None:
        """Keep a refusal of an account, unless it had too many; the group has `rows_before` rows so far."""
        if command.actor is None:
            return
        account_id = command.actor.account_id
        self._refused[account_id] += 1
        count = self._keeping.kept(account_id) + self._refused[account_id]
        if count > KEPT_A_MINUTE:
            return
        stock = _stock_asked_for(command, event)
        alike = CommonFacts(
            type(command).__name__,
            command.event_id,
            command.reservation_id if isinstance(command, OF_RESERVATIONS) else None,
            stock.offer.ticket_type_id if stock else None,
            getattr(command, "quantity", None),
            refusal.code,
            msgspec.json.encode(refusal.facts),
            stock.capacity if stock else None,
            stock.held if stock else None,
            stock.sold if stock else None,
            count == KEPT_A_MINUTE,
            stock.withheld if stock else None,
        )
        together = self.together.setdefault(alike, RefusedGroup(rows_before, [], []))
        together.request_ids.append(command.request_id)
        together.account_ids.append(account_id)

    def parameters(self, refused_at: datetime, group_rows: int) -> tuple[bytes, bytes]:
        """What `KEEP` stores in the group's transaction, after the `group_rows` rows that it has appended."""
        rows = [
            alike._asdict()
            | {"facts": msgspec.Raw(alike.facts), "request_ids": request_ids, "account_ids": account_ids}
            | {"behind": group_rows - rows_before}
            for alike, (rows_before, request_ids, account_ids) in self.together.items()
        ]
        return msgspec.json.encode(rows), binary.timestamptz(refused_at)

    def settle(self) -> None:
        """The group has committed: its refusals count."""
        self._keeping.count(self._refused)


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


def _stock_asked_for(command: Command, event: Aggregate | None) -> Stock | None:
    """The stock of the ticket type that is meant: by its id, or as the event's only one."""
    if not isinstance(event, TicketedEvent):
        return None
    ticket_type_id = getattr(command, "ticket_type_id", None)
    if ticket_type_id is None and len(event.stock) == 1:
        return next(iter(event.stock.values()))
    return event.stock.get(ticket_type_id) if ticket_type_id else None
