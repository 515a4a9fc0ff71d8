"""Streams and whole histories read in small parts, each with a connection that is borrowed for it alone."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

from domain.errors import EventNotFound
from domain.event_facts import EventCreated
from eventstore import reading
from eventstore.postgres.connections import Connection
from eventstore.reading import Recorded, StoredRow

# Read at a time: a few milliseconds of work, between which the event loop runs.
PART_ROWS = 500

ConnectionSource = Callable[[], AbstractAsyncContextManager[Connection]]


def same_connection(connection: Connection) -> ConnectionSource:
    """The same connection whenever one is to be borrowed."""

    @asynccontextmanager
    async def lend() -> AsyncIterator[Connection]:
        yield connection

    return lend


async def of_event(connections: ConnectionSource, event_id: UUID) -> AsyncGenerator[list[Recorded], None]:
    """The domain events of an event's own stream, in order, part by part. Raises `EventNotFound`."""
    rows = await _part(connections, event_id, 0)
    if not rows or rows[0].topic != EventCreated.TOPIC:
        raise EventNotFound
    while rows:
        yield [row.recorded() for row in rows]
        rows = await _part(connections, event_id, rows[-1].version) if len(rows) == PART_ROWS else []


async def _part(connections: ConnectionSource, stream_id: UUID, version: int) -> list[StoredRow]:
    async with connections() as connection:
        return await reading.stream_after(connection, stream_id, version, PART_ROWS, prepare=False)
