"""The audit trail with what each domain event says: the index from the projections, the state from the history."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from auditing.replay.streams import PART_ROWS, ConnectionSource
from eventstore import reading
from eventstore.postgres.connections import Connection
from eventstore.reading import StoredRow
from projections import checkpoint
from projections.queries import audit_trail_queries
from projections.queries.audit_trail_queries import Filters, Found, Span


class Entry(NamedTuple):
    """A domain event that the index knows of, and as it is stored; None where the history has lost it."""

    found: Found
    stored: StoredRow | None

    @property
    def version(self) -> int | None:
        """Its place in its stream; None where the history alone has known it."""
        if not self.found.is_event_side:
            return self.found.row.version
        return self.stored.version if self.stored else None


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
    found, after = await audit_trail_queries.selected(connection, filters, within, limit)
    stored = await reading.rows_at(connection, [one.position for one in found]) if found else {}
    return Page([Entry(one, stored.get(one.position)) for one in found], after)
