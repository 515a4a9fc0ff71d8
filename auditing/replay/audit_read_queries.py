"""The queries over who has read what: which reads some filters select, in the order of time."""

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import args_row

from eventstore.postgres.connections import Connection

# Where no index tells what is selected, one part of an answer looks at so many rows.
WALKED_ROWS = 50_000

# Each is a range of one index and nothing that the other could be asked for: a plan by that would walk through all that
# others have read first.
_BY_TIME = """(read_at, request_id) > (%(after_at)s, %(after_id)s)
  AND (read_at, request_id) <= (%(upto_at)s, %(upto_id)s)"""
_OF_ACCOUNT = """(account_id, read_at, request_id) > (%(account_id)s, %(after_at)s, %(after_id)s)
  AND (account_id, read_at, request_id) <= (%(account_id)s, %(upto_at)s, %(upto_id)s)"""
_SELECTED = """
SELECT request_id, read_at, account_id, what FROM audit_reads
WHERE {within}
  AND (%(about)s::uuid IS NULL OR position(%(about)s::uuid::text IN lower(what)) > 0)
ORDER BY {order}read_at, request_id LIMIT %(rows)s
"""
_WALKED = """
SELECT read_at, request_id FROM audit_reads WHERE {within}
ORDER BY {order}read_at, request_id OFFSET %(walked)s LIMIT 1
"""


class Source(NamedTuple):
    """The two queries over rows that stand together in an index, in its order.

    `selected` gives what the filters select up to a row, `walked` the row at which a part of an answer ends.
    """

    selected: str
    walked: str


BY_TIME = Source(*(query.format(within=_BY_TIME, order="") for query in (_SELECTED, _WALKED)))
OF_ACCOUNT = Source(*(query.format(within=_OF_ACCOUNT, order="account_id, ") for query in (_SELECTED, _WALKED)))


class Filters(NamedTuple):
    """What to select; None selects all. `about` is an id in path or query; `since` ≤ read < `until`."""

    account_id: UUID | None = None
    about: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def source(self) -> Source:
        """Where the reads are looked for."""
        return OF_ACCOUNT if self.account_id else BY_TIME


class AuditRead(NamedTuple):
    """A row of the table `audit_reads`; its comments say what each column means."""

    request_id: UUID
    read_at: datetime
    account_id: UUID
    what: str

    @property
    def place(self) -> "Place":
        """Where it stands in the order."""
        return Place(self.read_at, self.request_id)


class Place(NamedTuple):
    """A place in the order of reads."""

    read_at: datetime
    request_id: UUID


FIRST = Place(datetime.min.replace(tzinfo=UTC), UUID(int=0))
LAST = Place(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class Selected(NamedTuple):
    """Reads in order, and where more may follow behind; None when none do."""

    reads: list[AuditRead]
    after: Place | None


async def selected(connection: Connection, filters: Filters, after: Place | None, limit: int) -> Selected:
    """At most `limit` of the reads behind a place, in order.

    By an id that they are about there may be fewer than `limit`, even none, although more follow: no part of an answer
    walks further than `WALKED_ROWS`.
    """
    if after is None:
        after = FIRST._replace(read_at=filters.since or FIRST.read_at)
    upto = LAST if filters.until is None else FIRST._replace(read_at=filters.until)
    values = filters._asdict() | {"after_at": after.read_at, "after_id": after.request_id, "rows": limit + 1}
    values |= {"upto_at": upto.read_at, "upto_id": upto.request_id}
    end = None
    if filters.about:
        walked = await connection.execute(filters.source.walked, values | {"walked": WALKED_ROWS}, prepare=False)
        end = Place(*row) if (row := await walked.fetchone()) else None
    if end is not None:
        values |= {"upto_at": end.read_at, "upto_id": end.request_id}
    cursor = connection.cursor(binary=True, row_factory=args_row(AuditRead))
    await cursor.execute(filters.source.selected, values, prepare=False)
    found = await cursor.fetchall()
    return Selected(found[:limit], found[limit - 1].place) if len(found) > limit else Selected(found, end)
