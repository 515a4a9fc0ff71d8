"""The list of events: by their start, filtered, page by page."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from eventstore.postgres import binary_parameters as binary
from eventstore.postgres.connections import Connection
from eventstore.postgres.round_trips import Statement, numbered
from eventstore.postgres.shared_reads import Ask
from projections.queries.events_queries import (
    FIRST_HOLD_ENDS_AT,
    ITS_TICKETS,
    LISTED_COLUMNS,
    MOST_AVAILABLE,
    ShownEvent,
)
from projections.text_keys import pieces, place_key, words_of

IS_LEFT = f"({MOST_AVAILABLE} > 0 OR coalesce({FIRST_HOLD_ENDS_AT} <= statement_timestamp(), false))"
IS_OPEN = """
status = 'scheduled' AND ends_at > statement_timestamp()
AND (sales_open_at IS NULL OR sales_open_at <= statement_timestamp())
AND (sales_close_at IS NULL OR sales_close_at > statement_timestamp())
"""
# What the domain's `sale_at` says of one event. The planner knows which of them is asked for, and sees that one alone.
ON_SALE = f"""
CASE %(on_sale)s::text
    WHEN 'cancelled' THEN status = 'cancelled'
    WHEN 'ended' THEN status = 'scheduled' AND ends_at <= statement_timestamp()
    WHEN 'not-yet' THEN status = 'scheduled' AND sales_open_at > statement_timestamp()
    WHEN 'closed' THEN status = 'scheduled' AND ends_at > statement_timestamp()
                       AND sales_close_at <= statement_timestamp()
    WHEN 'now' THEN {IS_OPEN} AND {IS_LEFT}
    WHEN 'sold-out' THEN {IS_OPEN} AND NOT {IS_LEFT}
    ELSE true END
"""
# What ends after this instant is listed.
LATER_THAN = """
greatest(%(ends_after)s::timestamptz, CASE WHEN %(is_upcoming)s::boolean THEN statement_timestamp() END, '-infinity')
"""
FILTERED = f"""
      (%(status)s::text IS NULL OR status = %(status)s::text)
  AND (%(city_key)s::text IS NULL OR city_key = %(city_key)s::text)
  AND (%(state_key)s::text IS NULL OR state_key = %(state_key)s::text)
  AND (%(country_key)s::text IS NULL OR country_key = %(country_key)s::text)
  AND (%(organiser_id)s::uuid IS NULL OR organiser_id = %(organiser_id)s::uuid)
  AND (%(starts_after)s::timestamptz IS NULL OR starts_at >= %(starts_after)s::timestamptz)
  AND (%(starts_before)s::timestamptz IS NULL OR starts_at < %(starts_before)s::timestamptz)
  AND (%(after_starts_at)s::timestamptz IS NULL
       OR (starts_at, event_id) > (%(after_starts_at)s::timestamptz, %(after_event_id)s::uuid))
  AND {ON_SALE}
ORDER BY starts_at, event_id LIMIT %(limit)s
"""
# No index has all that end after an instant in the order of their start. So they come in two parts, of which each has
# one: what has started by then, and what starts later.
EVENTS = """
SELECT {shown}
FROM (
    (SELECT e.* FROM {tables} WHERE tstzrange(starts_at, ends_at) @> {later_than} AND {filtered})
    UNION ALL
    (SELECT e.* FROM {tables} WHERE starts_at > {later_than} AND {filtered})
    ORDER BY starts_at, event_id LIMIT %(limit)s
) AS e ORDER BY starts_at, event_id
"""
FOUND = "search_text LIKE ALL (%(patterns)s::text[]) AND pieces @> %(pieces)s::integer[]"
PARTS = {"shown": f"{LISTED_COLUMNS}, {ITS_TICKETS}", "later_than": LATER_THAN}
LISTED = EVENTS.format(**PARTS, tables="events AS e", filtered=FILTERED)
SEARCHED = EVENTS.format(
    **PARTS, tables="events AS e JOIN event_search AS s USING (event_id)", filtered=f"{FOUND} AND {FILTERED}"
)


class Filters(NamedTuple):
    """Which events: None filters nothing. Instants are about `starts_at` from and before one, and `ends_at` after one.

    `is_upcoming`: those that have not ended when the list is read.
    """

    q: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None
    starts_after: datetime | None = None
    starts_before: datetime | None = None
    ends_after: datetime | None = None
    is_upcoming: bool = True
    status: str | None = "scheduled"
    organiser_id: UUID | None = None
    on_sale: str | None = None


UPCOMING = Filters()
FIRST_NAMES = (
    *("with_description", "ends_after", "city_key", "state_key", "country_key", "organiser_id", "starts_after"),
    *("starts_before", "after_starts_at", "after_event_id", "on_sale"),
)
FIRST = Statement("first_events", numbered(LISTED, "limit", "is_upcoming", "status", *FIRST_NAMES))


async def first_events(ask: Ask, limit: int) -> list[ShownEvent]:
    """What `events` gives of those that are upcoming, from the first on."""
    values = [binary.bigint(limit), b"\1", b"scheduled", *[None] * len(FIRST_NAMES)]
    (rows,) = await ask((FIRST, values))
    return [ShownEvent.of(row) for row in rows]


async def events(
    connection: Connection,
    filters: Filters = UPCOMING,
    *,
    after: tuple[datetime, UUID] | None = None,
    with_description: bool = False,
    limit: int,
) -> list[ShownEvent]:
    """Events by (`starts_at`, `event_id`), those that come behind `after`.

    Each word of `q` has to occur in title or description, anywhere in it; `%` and `_` mean themselves. Words and places
    are the same without case and accents. The cost grows with `limit`, and with how many events are passed over: of
    those under way, of those that have a rare word's pieces, and with `on_sale` or several filters of those that the
    best index leaves. A word of one or two characters has no pieces, unless they are outside of ASCII.
    """
    after_starts_at, after_event_id = after or (None, None)
    words = words_of(filters.q or "")
    values: dict[str, Any] = filters._asdict() | {
        "city_key": place_key(filters.city),
        "state_key": place_key(filters.state),
        "country_key": place_key(filters.country),
        "patterns": [f"%{_escaped(word)}%" for word in words],
        "pieces": pieces(words),
        "after_starts_at": after_starts_at,
        "after_event_id": after_event_id,
        "with_description": with_description,
        "limit": limit,
    }
    # Never prepared, so that each combination of filters gets a plan of its own.
    cursor = await connection.execute(SEARCHED if words else LISTED, values, prepare=False, binary=True)
    return [ShownEvent.of(row) for row in await cursor.fetchall()]


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
