"""The queries over all refused attempts that are kept: which of them some filters select, in the order of time."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from eventstore.postgres.connections import Connection
from eventstore.writing.refused_attempts import ATTEMPT_COLUMNS, RefusedAttempt

# Where the index does not tell what is selected, one part of an answer looks at so many rows, each with all who were
# refused alike in a group.
WALKED_ROWS = 50_000
LAST_PLACE = 2**31

# Each is a range of one index and nothing that another could be asked for: a plan by that would walk through all of
# others first.
_BY_TIME = """(refused_at, first_request_id) >= (%(after_at)s, %(after_id)s)
  AND (refused_at, first_request_id) <= (%(upto_at)s, %(upto_id)s)"""
_OF_EVENT = """(event_id, refused_at, first_request_id) >= (%(event_id)s, %(after_at)s, %(after_id)s)
  AND (event_id, refused_at, first_request_id) <= (%(event_id)s, %(upto_at)s, %(upto_id)s)"""
_OF_RESERVATION = f"""reservation_id >= %(reservation_id)s AND reservation_id <= %(reservation_id)s
  AND (%(event_id)s::uuid IS NULL OR event_id = %(event_id)s::uuid) AND {_BY_TIME}"""
_SELECTED = f"""
SELECT {ATTEMPT_COLUMNS}, first_request_id, place
FROM refused_together, unnest(request_ids, account_ids) WITH ORDINALITY AS attempt (request_id, account_id, place)
WHERE {{within}}
  AND (refused_at, first_request_id, place) > (%(after_at)s, %(after_id)s, %(after_place)s::bigint)
  AND (%(account_id)s::uuid IS NULL OR attempt.account_id = %(account_id)s::uuid)
  AND (%(code)s::text IS NULL OR code = %(code)s::text)
ORDER BY {{order}}refused_at, first_request_id, place LIMIT %(rows)s
"""  # noqa: S608
_WALKED = """
SELECT refused_at, first_request_id FROM refused_together WHERE {within}
ORDER BY {order}refused_at, first_request_id OFFSET %(walked)s LIMIT 1
"""


class Source(NamedTuple):
    """The two queries over rows that stand together in an index, in its order.

    `selected` gives what the filters select up to a row, `walked` the row at which a part of an answer ends.
    """

    selected: str
    walked: str


BY_TIME = Source(*(query.format(within=_BY_TIME, order="") for query in (_SELECTED, _WALKED)))
OF_EVENT = Source(*(query.format(within=_OF_EVENT, order="event_id, ") for query in (_SELECTED, _WALKED)))
OF_RESERVATION = Source(
    *(query.format(within=_OF_RESERVATION, order="reservation_id, ") for query in (_SELECTED, _WALKED))
)


class Filters(NamedTuple):
    """What to select; None selects all. `since` ≤ refused < `until`."""

    event_id: UUID | None = None
    reservation_id: UUID | None = None
    account_id: UUID | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def source(self) -> Source:
        """Where the attempts are looked for: by the index that is likely to find the least."""
        if self.reservation_id:
            return OF_RESERVATION
        return OF_EVENT if self.event_id else BY_TIME

    @property
    def walks(self) -> bool:
        """Whether no index tells what is selected."""
        return self.reservation_id is None and bool(self.account_id or self.code)


class Place(NamedTuple):
    """A place in the order: the row, and the attempt's number in it."""

    refused_at: datetime
    first_request_id: UUID
    place: int


FIRST = Place(datetime.min.replace(tzinfo=UTC), UUID(int=0), 0)
LAST = Place(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1), LAST_PLACE)


class Selected(NamedTuple):
    """Attempts in order, and where more may follow behind; None when none do."""

    attempts: list[tuple[RefusedAttempt, Place]]
    after: Place | None


async def selected(connection: Connection, filters: Filters, after: Place | None, limit: int) -> Selected:
    """At most `limit` of the attempts behind a place, in order.

    By account or code there may be fewer than `limit`, even none, although more follow: no part of an answer walks
    further than `WALKED_ROWS`.
    """
    if after is None:
        after = FIRST._replace(refused_at=filters.since or FIRST.refused_at)
    upto_at, upto_id, _ = LAST if filters.until is None else FIRST._replace(refused_at=filters.until)
    values = filters._asdict() | {"after_at": after.refused_at, "after_id": after.first_request_id, "rows": limit + 1}
    values |= {"after_place": after.place, "upto_at": upto_at, "upto_id": upto_id}
    end = await _end_of_walk(connection, filters, values) if filters.walks else None
    if end is not None:
        values |= {"upto_at": end.refused_at, "upto_id": end.first_request_id}
    cursor = await connection.execute(filters.source.selected, values, binary=True, prepare=False)
    found = [(RefusedAttempt(*row[:-2]), Place(row[1], *row[-2:])) for row in await cursor.fetchall()]
    return Selected(found[:limit], found[limit - 1][1]) if len(found) > limit else Selected(found, end)


async def _end_of_walk(connection: Connection, filters: Filters, values: dict[str, Any]) -> Place | None:
    asked = values | {"walked": WALKED_ROWS}
    row = await (await connection.execute(filters.source.walked, asked, prepare=False)).fetchone()
    return Place(row[0], row[1], LAST_PLACE) if row else None
