"""The catalogue's queries: one event with its ticket types, searching for events, and events near somebody."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg.rows import args_row

from eventstore.postgres import binary_parameters as binary
from eventstore.postgres.connections import Connection
from eventstore.postgres.round_trips import Statement, numbered
from eventstore.postgres.shared_reads import Ask
from projections.tables.events import EventRow
from projections.tables.table import columns
from projections.tables.ticket_types import TicketTypeRow

COLUMNS = columns(EventRow)
EVENT = f"""
SELECT {COLUMNS},
       (SELECT json_agg(t ORDER BY t.place)::text
        FROM (SELECT {columns(TicketTypeRow)} FROM ticket_types WHERE event_id = e.event_id) AS t) AS ticket_types
FROM events AS e WHERE event_id = %(event_id)s
"""  # noqa: S608
EVENTS = f"""
SELECT {COLUMNS}
FROM events
WHERE (%(patterns)s::text[] IS NULL
       OR search_text LIKE ALL (ARRAY(SELECT lower(pattern) FROM unnest(%(patterns)s::text[]) AS pattern)))
  AND (%(city)s::text IS NULL OR lower(city) = lower(%(city)s::text))
  AND (%(state)s::text IS NULL OR lower(state) = lower(%(state)s::text))
  AND (%(country)s::text IS NULL OR lower(country) = lower(%(country)s::text))
  AND (%(starts_after)s::timestamptz IS NULL OR starts_at >= %(starts_after)s::timestamptz)
  AND (%(starts_before)s::timestamptz IS NULL OR starts_at < %(starts_before)s::timestamptz)
  AND (%(after_starts_at)s::timestamptz IS NULL
       OR (starts_at, event_id) > (%(after_starts_at)s::timestamptz, %(after_event_id)s::uuid))
ORDER BY starts_at, event_id LIMIT %(limit)s
"""  # noqa: S608
# Three searches in the order of an index each. A place that the account does not name is no match, but a country that
# it does not name is any; so is the state that tells cities of one name apart.
EVENTS_FOR = f"""
WITH near AS (
    (SELECT 0 AS rank, event_id, starts_at FROM events
     WHERE lower(city) = lower(%(city)s::text)
       AND (%(state)s::text IS NULL OR state IS NULL OR lower(state) = lower(%(state)s::text))
       AND (%(country)s::text IS NULL OR lower(country) = lower(%(country)s::text))
       AND status = 'scheduled' AND starts_at > statement_timestamp()
       AND (%(after_rank)s::int < 0 OR (%(after_rank)s::int = 0
            AND (starts_at, event_id) > (%(after_starts_at)s::timestamptz, %(after_event_id)s::uuid)))
     ORDER BY starts_at, event_id LIMIT %(limit)s)
    UNION ALL
    (SELECT 1, event_id, starts_at FROM events
     WHERE lower(state) = lower(%(state)s::text)
       AND (%(country)s::text IS NULL OR lower(country) = lower(%(country)s::text))
       AND (lower(city) = lower(%(city)s::text)) IS NOT TRUE
       AND status = 'scheduled' AND starts_at > statement_timestamp()
       AND (%(after_rank)s::int < 1 OR (%(after_rank)s::int = 1
            AND (starts_at, event_id) > (%(after_starts_at)s::timestamptz, %(after_event_id)s::uuid)))
     ORDER BY starts_at, event_id LIMIT %(limit)s)
    UNION ALL
    (SELECT 2, event_id, starts_at FROM events
     WHERE (%(country)s::text IS NULL OR lower(country) = lower(%(country)s::text))
       AND (lower(state) = lower(%(state)s::text)) IS NOT TRUE
       AND (lower(city) = lower(%(city)s::text)
            AND (%(state)s::text IS NULL OR state IS NULL)) IS NOT TRUE
       AND status = 'scheduled' AND starts_at > statement_timestamp()
       AND (%(after_rank)s::int < 2 OR (%(after_rank)s::int = 2
            AND (starts_at, event_id) > (%(after_starts_at)s::timestamptz, %(after_event_id)s::uuid)))
     ORDER BY starts_at, event_id LIMIT %(limit)s)
    ORDER BY rank, starts_at, event_id LIMIT %(limit)s
)
SELECT rank, {COLUMNS}
FROM (SELECT rank, event_id FROM near) AS ranked JOIN events USING (event_id) ORDER BY rank, starts_at, event_id
"""  # noqa: S608

ONE = Statement("event", numbered(EVENT, "event_id"))
FILTERS = ("patterns", "city", "state", "country", "starts_after", "starts_before", "after_starts_at", "after_event_id")
FIRST = Statement("first_events", numbered(EVENTS, "limit", *FILTERS))

_ticket_types = msgspec.json.Decoder(list[TicketTypeRow])


class EventWithTicketTypes(NamedTuple):
    """An event and its ticket types, in the organiser's order, all at one position."""

    event: EventRow
    ticket_types: list[TicketTypeRow]


class EventNearby(NamedTuple):
    """`rank` is 0 in the account's city, 1 in its state, 2 elsewhere in its country (or anywhere, when it has none)."""

    rank: int
    event: EventRow


async def event(ask: Ask, event_id: UUID) -> EventWithTicketTypes | None:
    """One event with its ticket types; None when there is none."""
    (rows,) = await ask((ONE, [binary.uuid(event_id)]))
    return EventWithTicketTypes(EventRow(*rows[0][:-1]), _ticket_types.decode(rows[0][-1])) if rows else None


async def first_events(ask: Ask, limit: int) -> list[EventRow]:
    """What `events` gives without any filter."""
    (rows,) = await ask((FIRST, [binary.bigint(limit), *[None] * len(FILTERS)]))
    return [EventRow(*row) for row in rows]


async def events(
    connection: Connection,
    *,
    q: str | None = None,
    city: str | None = None,
    state: str | None = None,
    country: str | None = None,
    starts_after: datetime | None = None,
    starts_before: datetime | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[EventRow]:
    """Events by (`starts_at`, `event_id`), those that come behind `after`; cancelled and past ones too.

    Each word of `q` has to occur in title or description, anywhere in it, in whatever case; `%` and `_` mean
    themselves. Places are equal but for case. From `starts_after` on, and before `starts_before`. With `q` and little
    to find the cost grows with the number of events that the other filters leave; without it, with `limit` alone.
    """
    after_starts_at, after_event_id = after or (None, None)
    values = {
        "patterns": [f"%{_escaped(word)}%" for word in q.split()] if q else None,
        "city": city,
        "state": state,
        "country": country,
        "starts_after": starts_after,
        "starts_before": starts_before,
        "after_starts_at": after_starts_at,
        "after_event_id": after_event_id,
        "limit": limit,
    }
    async with connection.cursor(binary=True, row_factory=args_row(EventRow)) as cursor:
        # Never prepared, so that each combination of filters gets a plan of its own.
        await cursor.execute(EVENTS, values, prepare=False)
        return await cursor.fetchall()


async def events_for(
    connection: Connection,
    *,
    city: str | None,
    state: str | None,
    country: str | None,
    after: tuple[int, datetime, UUID] | None = None,
    limit: int,
) -> list[EventNearby]:
    """Scheduled events that have not begun, near an account: its city first, then its state, then its country.

    Without a country, events of any country count. By (`rank`, `starts_at`, `event_id`), those behind `after`.
    """
    after_rank, after_starts_at, after_event_id = after or (-1, None, None)
    values: dict[str, Any] = {
        "city": city,
        "state": state,
        "country": country,
        "after_rank": after_rank,
        "after_starts_at": after_starts_at,
        "after_event_id": after_event_id,
        "limit": limit,
    }
    cursor = await connection.execute(EVENTS_FOR, values, prepare=False, binary=True)
    return [EventNearby(row[0], EventRow(*row[1:])) for row in await cursor.fetchall()]


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
