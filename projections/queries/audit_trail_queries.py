"""The queries of `audit_trail`: which domain events some filters select, in the order of the history."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import args_row

from domain.domain_event import SYSTEM
from eventstore import reading
from eventstore.postgres.connections import Connection
from projections.tables.audit_trail import EVENT_SIDE_TOPICS, RESERVATION_TOPICS, AuditRow
from projections.tables.table import columns

# Positions follow the commits and times the decisions before them: between a domain event and one behind it time may go
# back by what a group takes, which is bounded by half of this, and by as much as the database's clock was set back.
DISORDER = timedelta(seconds=60)
# These have no index, which would cost the writer of every domain event a fifth more log: they come so often that a few
# steps along the positions find them. Where they don't come for long, one part of an answer walks so far at most.
FREQUENT_TYPES = frozenset(
    ("TicketsHeld", "ReservationPlaced", "TicketsSold", "ReservationPaid", "TicketsReleased", "ReservationExpired")
)
WALKED_POSITIONS = 500_000
# So much of a stream one part of an answer looks at where the history can't tell what is selected.
WALKED_PLACES, MOST_PLACES_AT_ONCE = 50_000, 10_000
# What the state of an event's side says where the reservation's side is of one type or the other.
REASONS = {"ReservationExpired": ("expired",), "ReservationCancelled": ("buyer", "organiser", "event-cancelled")}

# A row finds its own domain event and the one before it: the last may be looked for by the row behind.
_ROWS = f"SELECT {columns(AuditRow)} FROM audit_trail AS trail WHERE position <= %(upto)s + 1"  # noqa: S608
_IN_POSITION = "AND position > %(after)s"
_OF_EVENT = "AND (%(event_id)s::uuid IS NULL OR event_id = %(event_id)s::uuid)"
_OF_ACCOUNT = "AND (%(account_id)s::uuid IS NULL OR actor_id = %(account_id)s::uuid)"
_OF_THE_REST = """
  AND (%(reservation_id)s::uuid IS NULL OR reservation_id = %(reservation_id)s::uuid)
  AND (NOT %(by_system)s::boolean OR actor_id IS NULL)
  AND (%(row_type)s::text IS NULL OR type = %(row_type)s::text)
  AND (cardinality(%(row_types)s::text[]) = 0 OR type = ANY(%(row_types)s::text[]))
  AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s::timestamptz)
  AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s::timestamptz)
"""
SELECTED = f"{_ROWS} {_IN_POSITION} {_OF_EVENT} {_OF_ACCOUNT} {_OF_THE_REST} ORDER BY position LIMIT %(rows)s"
# A range of one value, in the order of the index: for a value that is frequent but comes late, the plan would else be
# to walk to it from the first position.
_IN_INDEX_OF_ACCOUNT = "AND (actor_id, position) > (%(account_id)s, %(after)s) AND actor_id <= %(account_id)s"
SELECTED_OF_ACCOUNT = (
    f"{_ROWS} {_IN_INDEX_OF_ACCOUNT} {_OF_EVENT} {_OF_THE_REST} ORDER BY trail.actor_id, position LIMIT %(rows)s"
)
SELECTED_AT = f"""
{_ROWS} {_IN_POSITION} AND position = ANY(%(positions)s::bigint[]) {_OF_EVENT} {_OF_ACCOUNT} {_OF_THE_REST}
ORDER BY position
"""
# Halves the positions (`low`, `high`), of which the first was recorded before the instant and the second was not.
BEFORE = """
WITH RECURSIVE halves (low, high) AS (
    SELECT 0::bigint, %(upto)s::bigint + 1
    UNION ALL
    SELECT CASE WHEN is_before THEN position ELSE low END, CASE WHEN is_before THEN high ELSE (low + high) / 2 END
    FROM halves LEFT JOIN LATERAL (
        SELECT position, position < high AND recorded_at < %(instant)s AS is_before
        FROM audit_trail WHERE position >= (low + high) / 2 ORDER BY position LIMIT 1
    ) AS next ON true
    WHERE high - low > 1
)
SELECT low FROM halves ORDER BY high - low LIMIT 1
"""


class Filters(NamedTuple):
    """What to select; None selects all, and so do no types. `since` ≤ recorded < `until`; positions behind `after`."""

    event_id: UUID | None = None
    reservation_id: UUID | None = None
    account_id: UUID | None = None
    by_system: bool = False
    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    after: int = 0

    @property
    def query(self) -> str:
        """The query by the index that is likely to find the least, where no stream has all that is selected."""
        return SELECTED_OF_ACCOUNT if self.account_id else SELECTED

    @property
    def stream_id(self) -> UUID | None:
        """The stream that tells of all that is selected, where it is likely to be the least that does."""
        return self.reservation_id or (None if self.account_id else self.event_id)

    @property
    def walks(self) -> bool:
        """Whether no index finds what is selected."""
        named = self.event_id or self.reservation_id or self.account_id
        return not named and (self.by_system or not FREQUENT_TYPES.isdisjoint(self.types))

    @property
    def row_types(self) -> list[str]:
        """The types of the rows that find the types; empty for any."""
        sides = [row for row, event_side in EVENT_SIDE_TOPICS.items() if event_side in self.types]
        return sorted({*sides, *self.types}.difference(EVENT_SIDE_TOPICS.values()))

    @property
    def event_side_topics(self) -> list[str]:
        """The types by which an event's stream tells of the types; empty for any."""
        return sorted({EVENT_SIDE_TOPICS.get(type_, type_) for type_ in self.types})

    @property
    def said(self) -> list[bytes]:
        """Of which any is in the state of what an event's stream tells; empty where it says nothing of the filters."""
        if self.types and REASONS.keys() >= {*self.types}:
            return [f'"reason":"{reason}"'.encode() for type_ in self.types for reason in REASONS[type_]]
        return [f'"actor_id":"{SYSTEM}"'.encode()] if self.by_system else []

    def values(self) -> list[dict[str, Any]]:
        """Parameters of the queries: each time that one is asked has others.

        The index of rare types has the rows of each in their order, and those of several together in none.
        """
        is_by_type = self.types and not (self.walks or self.event_id or self.reservation_id or self.account_id)
        wanted: list[tuple[str | None, list[str]]] = [(row_type, []) for row_type in self.row_types if is_by_type]
        return [
            self._asdict() | {"row_type": row_type, "row_types": row_types}
            for row_type, row_types in wanted or [(None, self.row_types)]
        ]


class Span(NamedTuple):
    """Positions behind `after`, and not behind `upto`."""

    after: int
    upto: int


class Found(NamedTuple):
    """A domain event's position, and the row that it is found by: its own, or that of the position behind it."""

    position: int
    row: AuditRow

    @property
    def is_event_side(self) -> bool:
        """Whether it is what the event's stream says of a reservation, and the row what the reservation's says."""
        return self.position != self.row.position

    @property
    def type(self) -> str:
        """The domain event's own."""
        return EVENT_SIDE_TOPICS[self.row.type] if self.is_event_side else self.row.type

    @property
    def stream(self) -> UUID:
        """The event or the reservation whose own domain event it is."""
        return self.row.event_id if self.is_event_side else self.row.stream


class Selected(NamedTuple):
    """Domain events in order, and the position that more may follow behind; None when none do."""

    found: list[Found]
    after: int | None


async def span(connection: Connection, filters: Filters, upto: int) -> Span:
    """Where to look for what the filters select, up to a position; for a time range in two searches by halves.

    Of a history whose clock was never set back by half a minute nothing is missing.
    """
    after = filters.after
    if filters.since is not None:
        after = max(after, await _before(connection, filters.since - DISORDER, upto))
    if filters.until is not None:
        upto = await _before(connection, filters.until + DISORDER, upto)
    return Span(after, upto)


async def selected(connection: Connection, filters: Filters, within: Span, limit: int) -> Selected:
    """At most `limit` domain events within a span, in order, and where to go on.

    Costs as many rows as the reservation selects, else the account, the event or the rare type; and no more than
    `limit` where there is one filter only. Where nothing tells beforehand what is selected, there may be fewer than
    `limit`, even none, although more follow: so no answer takes longer than a walk along `WALKED_POSITIONS`, or along
    `WALKED_PLACES` of a stream. By an event or a reservation only that is found which the history has not lost.
    """
    if filters.stream_id is not None:
        return await _of_stream(connection, filters, filters.stream_id, within, limit)
    upto = min(within.upto, within.after + WALKED_POSITIONS) if filters.walks else within.upto
    # The first and the last row may each be there for what lies outside of the span.
    asked = {"after": within.after, "upto": upto, "rows": limit + 2}
    rows = [row for values in filters.values() for row in await _rows(connection, filters.query, values | asked)]
    rows.sort(key=attrgetter("position"))
    found = _domain_events(rows, filters, Span(within.after, upto))
    return _first(found, limit, upto if upto < within.upto else None)


async def _of_stream(connection: Connection, filters: Filters, stream_id: UUID, within: Span, limit: int) -> Selected:
    """What the history's own key finds, and the filters select; of one stream, more and more of it at a time."""
    version = await reading.version_before(connection, stream_id, within.after) if within.after else 0
    told = (filters.event_side_topics, filters.said) if stream_id == filters.event_id else ()
    found: list[Found] = []
    walked, size = 0, limit + 1
    while True:
        places = await reading.places_after(connection, stream_id, version, size, *told)
        if not places or (filters.reservation_id and places[0].topic not in RESERVATION_TOPICS):
            return _first(found, limit, None)
        positions = [place.position + (place.topic in EVENT_SIDE_TOPICS.values()) for place in places]
        (values,) = filters.values()
        values |= within._asdict() | {"positions": positions}
        found += _domain_events(await _rows(connection, SELECTED_AT, values), filters, within)
        is_end = len(places) < size or positions[-1] > within.upto
        version, walked = places[-1].version, walked + size
        if is_end or len(found) > limit or walked >= WALKED_PLACES:
            return _first(found, limit, None if is_end else positions[-1])
        size = min(2 * size, MOST_PLACES_AT_ONCE)


async def _rows(connection: Connection, query: str, values: dict[str, Any]) -> list[AuditRow]:
    async with connection.cursor(binary=True, row_factory=args_row(AuditRow)) as cursor:
        # Never prepared, so that each combination of filters gets a plan of its own.
        await cursor.execute(query, values, prepare=False)
        return await cursor.fetchall()


def _domain_events(rows: Iterable[AuditRow], filters: Filters, within: Span) -> list[Found]:
    """What the rows find: each its own domain event, behind what the event's stream says of the same step.

    Tables of an older version have a row for either, and are answered from in the same way.
    """
    found: dict[int, Found] = {}
    for row in rows:
        if row.type in EVENT_SIDE_TOPICS:
            found[row.position - 1] = Found(row.position - 1, row)
        found[row.position] = Found(row.position, row)
    return [
        one
        for one in found.values()
        if within.after < one.position <= within.upto and (not filters.types or one.type in filters.types)
    ]


def _first(found: list[Found], limit: int, after: int | None) -> Selected:
    """At most `limit` of these, and where to go on: behind the last one if there are more, else behind `after`."""
    return Selected(found[:limit], found[limit - 1].position) if len(found) > limit else Selected(found, after)


async def _before(connection: Connection, instant: datetime, upto: int) -> int:
    """A position that was recorded before an instant while the next one was not; at most `upto`, 0 if there is none."""
    values: dict[str, Any] = {"instant": instant, "upto": upto}
    ((position,),) = await (await connection.execute(BEFORE, values, prepare=False)).fetchall()
    return int(position)
