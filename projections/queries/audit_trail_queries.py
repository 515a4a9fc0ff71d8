"""The queries of `audit_trail`: which domain events some filters select, in the order of the history."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import args_row

from eventstore.postgres.connections import Connection
from projections.tables.audit_trail import AuditRow
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

_ROWS = f"SELECT {columns(AuditRow)} FROM audit_trail AS trail WHERE position <= %(upto)s"  # noqa: S608
_IN_POSITION = "AND position > %(after)s"
_OF_EVENT = "AND (%(event_id)s::uuid IS NULL OR event_id = %(event_id)s::uuid)"
_OF_ACCOUNT = "AND (%(account_id)s::uuid IS NULL OR actor_id = %(account_id)s::uuid)"
_OF_THE_REST = """
  AND (%(reservation_id)s::uuid IS NULL OR reservation_id = %(reservation_id)s::uuid)
  AND (NOT %(by_system)s::boolean OR actor_id IS NULL)
  AND (%(type)s::text IS NULL OR type = %(type)s::text)
  AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s::timestamptz)
  AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s::timestamptz)
"""
SELECTED = f"{_ROWS} {_IN_POSITION} {_OF_EVENT} {_OF_ACCOUNT} {_OF_THE_REST} ORDER BY position LIMIT %(limit)s"
# Each a range of one value, in the order of its own index: for a value that is frequent but comes late, the plan would
# else be to walk to it from the first position.
_IN_INDEX_OF_ACCOUNT = "AND (actor_id, position) > (%(account_id)s, %(after)s) AND actor_id <= %(account_id)s"
_IN_INDEX_OF_EVENT = "AND (event_id, position) > (%(event_id)s, %(after)s) AND event_id <= %(event_id)s"
SELECTED_OF_ACCOUNT = (
    f"{_ROWS} {_IN_INDEX_OF_ACCOUNT} {_OF_EVENT} {_OF_THE_REST} ORDER BY trail.actor_id, position LIMIT %(limit)s"
)
SELECTED_OF_EVENT = f"{_ROWS} {_IN_INDEX_OF_EVENT} {_OF_THE_REST} ORDER BY event_id, position LIMIT %(limit)s"
# Halves the positions (`low`, `high`), of which the first was recorded before the instant and the second was not.
BEFORE = """
WITH RECURSIVE halves (low, high) AS (
    SELECT 0::bigint, %(upto)s::bigint + 1
    UNION ALL
    SELECT CASE WHEN recorded_at < %(instant)s THEN position ELSE low END,
           CASE WHEN recorded_at < %(instant)s THEN high ELSE position END
    FROM halves JOIN audit_trail ON position = (low + high) / 2
    WHERE high - low > 1
)
SELECT low FROM halves ORDER BY high - low LIMIT 1
"""


class Filters(NamedTuple):
    """What to select; None selects all. `since` ≤ recorded < `until`; positions behind `after`."""

    event_id: UUID | None = None
    reservation_id: UUID | None = None
    account_id: UUID | None = None
    by_system: bool = False
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int = 0

    @property
    def query(self) -> str:
        """The query by the index that is likely to find the least."""
        if self.account_id and not self.reservation_id:
            return SELECTED_OF_ACCOUNT
        return SELECTED_OF_EVENT if self.event_id and not self.reservation_id else SELECTED

    @property
    def walks(self) -> bool:
        """Whether no index finds what is selected."""
        named = self.event_id or self.reservation_id or self.account_id
        return not named and (self.by_system or self.type in FREQUENT_TYPES)


class Span(NamedTuple):
    """Positions behind `after`, and not behind `upto`."""

    after: int
    upto: int


class Selected(NamedTuple):
    """Rows in order, and the position that more may follow behind; None when none do."""

    rows: list[AuditRow]
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
    """At most `limit` rows within a span, in order, and where to go on.

    Costs as many rows as the reservation selects, else the account, the event or the rare type; and no more than
    `limit` where there is one filter only. Of a frequent type, or of the system, there may be fewer rows than `limit`,
    even none, although more follow: so no answer takes longer than a walk along `WALKED_POSITIONS`.
    """
    upto = min(within.upto, within.after + WALKED_POSITIONS) if filters.walks else within.upto
    values = filters._asdict() | {"after": within.after, "upto": upto, "limit": limit + 1}
    async with connection.cursor(binary=True, row_factory=args_row(AuditRow)) as cursor:
        # Never prepared, so that each combination of filters gets a plan of its own.
        await cursor.execute(filters.query, values, prepare=False)
        rows = await cursor.fetchall()
    if len(rows) > limit:
        return Selected(rows[:limit], rows[limit - 1].position)
    return Selected(rows, upto if upto < within.upto else None)


async def _before(connection: Connection, instant: datetime, upto: int) -> int:
    """A position that was recorded before an instant while the next one was not; at most `upto`, 0 if there is none."""
    values: dict[str, Any] = {"instant": instant, "upto": upto}
    ((position,),) = await (await connection.execute(BEFORE, values, prepare=False)).fetchall()
    return int(position)
