"""Queries about the sales of one event: buckets of time in order, each bounded by `limit`."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, LiteralString, NamedTuple
from uuid import UUID

from psycopg.rows import args_row

from eventstore.postgres.connections import Connection

Bucket = Literal["minute", "hour", "day"]

EVENT = """
SELECT organiser_id, time_zone, (SELECT min(minute) FROM sales_by_minute WHERE event_id = %(event_id)s),
       (SELECT max(minute) FROM sales_by_minute WHERE event_id = %(event_id)s)
FROM events WHERE event_id = %(event_id)s
"""
# A minute is a row already, found by its key; longer ones are summed up from where the page begins.
MINUTES = """
SELECT minute, ticket_type_id, s.placed, s.paid, expired, cancelled, returned, tickets_placed, tickets_paid,
       tickets_expired, tickets_cancelled, tickets_returned, revenue_minor, refunds_minor, t.currency
FROM sales_by_minute AS s JOIN ticket_types AS t USING (event_id, ticket_type_id)
WHERE event_id = %(event_id)s
  AND (%(after_begins_at)s::timestamptz IS NULL
       OR (minute, ticket_type_id) > (%(after_begins_at)s::timestamptz, %(after_ticket_type_id)s::uuid))
ORDER BY minute, ticket_type_id LIMIT %(limit)s
"""
HOURS = """
SELECT date_trunc('hour', minute, 'UTC') AS begins_at, ticket_type_id, sum(s.placed), sum(s.paid), sum(expired),
       sum(cancelled), sum(returned), sum(tickets_placed)::bigint, sum(tickets_paid)::bigint,
       sum(tickets_expired)::bigint, sum(tickets_cancelled)::bigint, sum(tickets_returned)::bigint, sum(revenue_minor),
       sum(refunds_minor), t.currency
FROM sales_by_minute AS s JOIN ticket_types AS t USING (event_id, ticket_type_id)
WHERE event_id = %(event_id)s
  AND (%(after_begins_at)s::timestamptz IS NULL OR minute >= %(after_begins_at)s::timestamptz)
GROUP BY begins_at, ticket_type_id, t.currency
HAVING %(after_begins_at)s::timestamptz IS NULL
       OR (date_trunc('hour', minute, 'UTC'), ticket_type_id)
          > (%(after_begins_at)s::timestamptz, %(after_ticket_type_id)s::uuid)
ORDER BY begins_at, ticket_type_id LIMIT %(limit)s
"""
# When each day begins at the place of the event, the caller says: a server may not know every time zone.
DAYS = """
SELECT (%(midnights)s::timestamptz[])[width_bucket(minute, %(midnights)s::timestamptz[])] AS begins_at, ticket_type_id,
       sum(s.placed), sum(s.paid), sum(expired), sum(cancelled), sum(returned), sum(tickets_placed)::bigint,
       sum(tickets_paid)::bigint, sum(tickets_expired)::bigint, sum(tickets_cancelled)::bigint,
       sum(tickets_returned)::bigint, sum(revenue_minor), sum(refunds_minor), t.currency
FROM sales_by_minute AS s JOIN ticket_types AS t USING (event_id, ticket_type_id)
WHERE event_id = %(event_id)s
  AND (%(after_begins_at)s::timestamptz IS NULL OR minute >= %(after_begins_at)s::timestamptz)
GROUP BY begins_at, ticket_type_id, t.currency
HAVING %(after_begins_at)s::timestamptz IS NULL
       OR ((%(midnights)s::timestamptz[])[width_bucket(minute, %(midnights)s::timestamptz[])], ticket_type_id)
          > (%(after_begins_at)s::timestamptz, %(after_ticket_type_id)s::uuid)
ORDER BY begins_at, ticket_type_id LIMIT %(limit)s
"""
QUERIES: dict[Bucket, LiteralString] = {"minute": MINUTES, "hour": HOURS, "day": DAYS}


class SoldEvent(NamedTuple):
    """Whose event it is, in which time zone, and the first and the last minute of its sales; None without any."""

    organiser_id: UUID
    time_zone: str
    first_minute: datetime | None
    last_minute: datetime | None


class Sales(NamedTuple):
    """What happened to a ticket type from `begins_at` on, for one bucket; as in the table `sales_by_minute`."""

    begins_at: datetime
    ticket_type_id: UUID
    placed: int
    paid: int
    expired: int
    cancelled: int
    returned: int
    tickets_placed: int
    tickets_paid: int
    tickets_expired: int
    tickets_cancelled: int
    tickets_returned: int
    revenue_minor: Decimal
    refunds_minor: Decimal
    currency: str


async def sold_event(connection: Connection, event_id: UUID) -> SoldEvent | None:
    """None when there is no such event."""
    async with connection.cursor(binary=True, row_factory=args_row(SoldEvent)) as cursor:
        return await (await cursor.execute(EVENT, {"event_id": event_id})).fetchone()


async def sales(
    connection: Connection,
    event_id: UUID,
    *,
    bucket: Bucket,
    midnights: Sequence[datetime],
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Sales]:
    """Buckets in which anything happened, by (`begins_at`, `ticket_type_id`), those that come behind `after`.

    Each day begins at one of `midnights`, which come in order; the first is not behind the first minute of the sales.
    Hours and days cost as many rows as minutes with sales come behind `after`.
    """
    after_begins_at, after_ticket_type_id = after or (None, None)
    values = {
        "event_id": event_id,
        "midnights": list(midnights),
        "after_begins_at": after_begins_at,
        "after_ticket_type_id": after_ticket_type_id,
        "limit": limit,
    }
    async with connection.cursor(binary=True, row_factory=args_row(Sales)) as cursor:
        await cursor.execute(QUERIES[bucket], values, prepare=False)
        return await cursor.fetchall()
