"""The audit trail with what each domain event says: the index from the projections, the state from the history."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from auditing.replay.streams import PART_ROWS, ConnectionSource
from eventstore import reading
from eventstore.postgres.connections import Connection
from eventstore.reading import StoredRow
from projections import checkpoint
from projections.queries import audit_trail_queries
from projections.queries.audit_trail_queries import Filters, Span
from projections.tables.audit_trail import AuditRow


class Entry(NamedTuple):
    """A row of the index and the domain event of its position; None where the history has lost it."""

    row: AuditRow
    stored: StoredRow | None


class Page(NamedTuple):
    """Entries in order, and the position that more may follow behind; None when none do."""

    entries: list[Entry]
    after: int | None


async def page(connection: Connection, filters: Filters, limit: int) -> Page:
    """The first entries that the filters select, at most `limit`, up to the checkpoint."""
    within = await audit_trail_queries.span(connection, filters, (await checkpoint.read(connection)).position)
    return await _page(connection, filters, within, limit)


async def pages(connections: ConnectionSource, filters: Filters) -> AsyncIterator[list[Entry]]:
    """All entries that the filters select up to the checkpoint as it is at the start, some hundreds at a time.

    Memory is that of one page. A connection is borrowed for each, and given back while the caller does its work.
    """
    async with connections() as connection:
        within = await audit_trail_queries.span(connection, filters, (await checkpoint.read(connection)).position)
    while True:
        async with connections() as connection:
            entries, after = await _page(connection, filters, within, PART_ROWS)
        yield entries
        if after is None:
            return
        within = within._replace(after=after)


async def _page(connection: Connection, filters: Filters, within: Span, limit: int) -> Page:
    rows, after = await audit_trail_queries.selected(connection, filters, within, limit)
    stored = await reading.rows_at(connection, [row.position for row in rows]) if rows else {}
    return Page([Entry(row, stored.get(row.position)) for row in rows], after)
