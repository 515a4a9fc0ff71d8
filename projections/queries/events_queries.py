"""Queries about events: one with its ticket types, and those near somebody."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.event_facts import SalesWindow
from domain.on_sale import Sale, SaleFacts, sale_at
from eventstore.postgres import binary_parameters as binary
from eventstore.postgres.connections import Connection
from eventstore.postgres.round_trips import Statement, numbered
from eventstore.postgres.shared_reads import Ask
from projections.tables.events import EventRow
from projections.tables.table import columns
from projections.tables.ticket_types import TicketTypeRow
from projections.text_keys import place_key

COLUMNS = columns(EventRow)
LISTED_COLUMNS = COLUMNS.replace(
    "description::text", "CASE WHEN %(with_description)s::boolean THEN description END::text"
)
MOST_AVAILABLE = "(SELECT max(available) FROM ticket_types AS t WHERE t.event_id = e.event_id)"
FIRST_HOLD_ENDS_AT = """
(SELECT hold_expires_at FROM reservations AS r WHERE r.event_id = e.event_id AND r.status = 'reserved'
 ORDER BY hold_expires_at LIMIT 1)
"""
# Which of its holds ends first matters only where no ticket is left.
ITS_TICKETS = f"""
       (SELECT coalesce(json_agg(t ORDER BY t.place)::text, '[]')
        FROM (SELECT {columns(TicketTypeRow)} FROM ticket_types WHERE event_id = e.event_id) AS t),
       CASE WHEN {MOST_AVAILABLE} <= 0 THEN {FIRST_HOLD_ENDS_AT} END,
       statement_timestamp()
"""  # noqa: S608
EVENT = f"SELECT {COLUMNS}, {ITS_TICKETS} FROM events AS e WHERE event_id = %(event_id)s"  # noqa: S608
# Three searches in the order of an index each. A place that the account does not name is no match, but a country that
# it does not name is any; so is the state that tells cities of one name apart.
EVENTS_FOR = f"""
WITH near AS (
    (SELECT 0 AS rank, event_id, starts_at FROM events
     WHERE city_key = %(city_key)s::text
       AND (%(state_key)s::text IS NULL OR state IS NULL OR state_key = %(state_key)s::text)
       AND (%(country_key)s::text IS NULL OR country_key = %(country_key)s::text)
       AND status = 'scheduled' AND starts_at > statement_timestamp()
       AND (%(after_rank)s::int < 0 OR (%(after_rank)s::int = 0
            AND (starts_at, event_id) > (%(after_starts_at)s::timestamptz, %(after_event_id)s::uuid)))
     ORDER BY starts_at, event_id LIMIT %(limit)s)
    UNION ALL
    (SELECT 1, event_id, starts_at FROM events
     WHERE state_key = %(state_key)s::text
       AND (%(country_key)s::text IS NULL OR country_key = %(country_key)s::text)
       AND (city_key = %(city_key)s::text) IS NOT TRUE
       AND status = 'scheduled' AND starts_at > statement_timestamp()
       AND (%(after_rank)s::int < 1 OR (%(after_rank)s::int = 1
            AND (starts_at, event_id) > (%(after_starts_at)s::timestamptz, %(after_event_id)s::uuid)))
     ORDER BY starts_at, event_id LIMIT %(limit)s)
    UNION ALL
    (SELECT 2, event_id, starts_at FROM events
     WHERE (%(country_key)s::text IS NULL OR country_key = %(country_key)s::text)
       AND (state_key = %(state_key)s::text) IS NOT TRUE
       AND (city_key = %(city_key)s::text
            AND (%(state_key)s::text IS NULL OR state IS NULL)) IS NOT TRUE
       AND status = 'scheduled' AND starts_at > statement_timestamp()
       AND (%(after_rank)s::int < 2 OR (%(after_rank)s::int = 2
            AND (starts_at, event_id) > (%(after_starts_at)s::timestamptz, %(after_event_id)s::uuid)))
     ORDER BY starts_at, event_id LIMIT %(limit)s)
    ORDER BY rank, starts_at, event_id LIMIT %(limit)s
)
SELECT rank, {LISTED_COLUMNS}, {ITS_TICKETS}
FROM (SELECT rank, event_id FROM near) AS ranked JOIN events AS e USING (event_id) ORDER BY rank, starts_at, event_id
"""  # noqa: S608

LAST_RANK = 2

ORGANISER = "SELECT organiser_id FROM events WHERE event_id = %(event_id)s"

ONE = Statement("event", numbered(EVENT, "event_id"))

_ticket_types = msgspec.json.Decoder(list[TicketTypeRow])


class ShownEvent(NamedTuple):
    """An event and its ticket types, in the organiser's order, all at one position, as they were read `at` an instant.

    `first_hold_ends_at` is when the first of the open holds ends, due ones included; None while tickets are left.
    """

    event: EventRow
    ticket_types: list[TicketTypeRow]
    first_hold_ends_at: datetime | None
    at: datetime

    @classmethod
    def of(cls, row: Sequence[Any]) -> "ShownEvent":
        """What a query gives of an event."""
        *event, ticket_types, first_hold_ends_at, at = row
        return cls(EventRow(*event), _ticket_types.decode(ticket_types), first_hold_ends_at, at)

    @property
    def sale(self) -> Sale:
        """Whether it was on sale when it was read, by the database's clock."""
        it = self.event
        window = SalesWindow(sales_open_at=it.sales_open_at, sales_close_at=it.sales_close_at)
        available = sum(max(0, row.available) for row in self.ticket_types)
        facts = SaleFacts(it.status == "cancelled", it.ends_at, window, available, self.first_hold_ends_at)
        return sale_at(self.at, facts)


class EventNearby(NamedTuple):
    """`rank` is 0 in the account's city, 1 in its state, 2 elsewhere in its country (or anywhere, when it has none)."""

    rank: int
    shown: ShownEvent


async def event(ask: Ask, event_id: UUID) -> ShownEvent | None:
    """One event with its ticket types; None when there is none."""
    (rows,) = await ask((ONE, [binary.uuid(event_id)]))
    return ShownEvent.of(rows[0]) if rows else None


async def organiser(connection: Connection, event_id: UUID) -> UUID | None:
    """Whose event it is; None when there is none."""
    row = await (await connection.execute(ORGANISER, {"event_id": event_id})).fetchone()
    return row[0] if row else None


async def events_for(
    connection: Connection,
    *,
    city: str | None,
    state: str | None,
    country: str | None,
    after: tuple[int, datetime, UUID] | None = None,
    with_description: bool = False,
    limit: int,
) -> list[EventNearby]:
    """Scheduled events that have not begun, near an account: its city first, then its state, then its country.

    Without a country, events of any country count. By (`rank`, `starts_at`, `event_id`), those behind `after`.
    """
    after_rank, after_starts_at, after_event_id = after or (-1, None, None)
    values: dict[str, Any] = {
        "city_key": place_key(city),
        "state_key": place_key(state),
        "country_key": place_key(country),
        "after_rank": after_rank,
        "after_starts_at": after_starts_at,
        "after_event_id": after_event_id,
        "with_description": with_description,
        "limit": limit,
    }
    cursor = await connection.execute(EVENTS_FOR, values, prepare=False, binary=True)
    return [EventNearby(row[0], ShownEvent.of(row[1:])) for row in await cursor.fetchall()]
