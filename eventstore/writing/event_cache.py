"""Events in memory: loaded once at a time, caught up from the history, dropped when memory is short."""

import asyncio
from collections import OrderedDict
from typing import Any, cast
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from domain.aggregate import DomainEvent
from domain.event_facts import EventCreated
from domain.ticketed_event import TicketedEvent
from eventstore import reading, snapshots
from eventstore.postgres.connections import Connection

# Measured sizes of what grows in an event, in bytes.
EVENT_BYTES = 3_000
STOCK_BYTES = 700
BUYER_BYTES = 400
HOLD_BYTES = 400
CHANGE_BYTES = 110

LOAD_ROWS = 500


def fold(event: TicketedEvent | None, domain_event: DomainEvent) -> TicketedEvent | None:
    """The event after one more domain event of its stream; None for the stream of a reservation."""
    if event is None and not isinstance(domain_event, EventCreated):
        return None
    return cast(TicketedEvent, domain_event.mutate(event))


async def load(connection: Connection, event_id: UUID, event: TicketedEvent | None = None) -> TicketedEvent | None:
    """The event as the history has it now, from its snapshot (or from `event`) and the tail; None if there is none.

    Costs one query per 500 domain events of the tail, and lets the event loop run in between.
    """
    if event is None:
        event = await snapshots.newest(connection, event_id)
    while True:
        rows = await reading.stream_after(connection, event_id, event.version if event else 0, LOAD_ROWS)
        for row in rows:
            event = fold(event, row.recorded().domain_event)
        if event is None or len(rows) < LOAD_ROWS:
            return event


class Aggregates:
    """The events that this process knows, bounded by the memory they take: about `bytes`.

    The one that was used last stays, however large it is.
    """

    def __init__(self, connections: AsyncConnectionPool[Connection], max_bytes: int = 512 * 1024 * 1024) -> None:
        self._connections = connections
        self._max_bytes = max_bytes
        self.bytes = 0
        self._events: OrderedDict[UUID, tuple[TicketedEvent | None, int]] = OrderedDict()
        self._loading: dict[UUID, asyncio.Future[None]] = {}

    def __contains__(self, event_id: UUID) -> bool:
        return event_id in self._events

    def get(self, event_id: UUID) -> TicketedEvent | None:
        """The event as it was last caught up; None when it did not exist then."""
        return self._events[event_id][0]

    def put(self, event_id: UUID, event: TicketedEvent | None) -> None:
        """Keep the event as the one used last, and make room for it."""
        self._forget(event_id)
        size = size_bytes(event)
        self._events[event_id] = (event, size)
        self.bytes += size
        while self.bytes > self._max_bytes and len(self._events) > 1:
            self._forget(next(iter(self._events)))

    def drop(self, event_ids: Any) -> None:
        """Forget what may hold facts that were never recorded."""
        for event_id in event_ids:
            self._forget(event_id)

    async def ensure(self, event_id: UUID) -> None:
        """Load the event if it is not here; whoever asks meanwhile waits for the same load."""
        while event_id not in self._events:
            if event_id in self._loading:
                await asyncio.shield(self._loading[event_id])
                continue
            self._loading[event_id] = asyncio.ensure_future(self._load(event_id))
            await asyncio.shield(self._loading[event_id])

    def put_all(self, events: dict[UUID, TicketedEvent | None]) -> None:
        """Keep all of them."""
        for event_id, event in events.items():
            self.put(event_id, event)

    async def catch_up(self, event_id: UUID, event: TicketedEvent | None) -> TicketedEvent | None:
        """The event with what others have recorded since, read without holding its lock."""
        async with self._connections.connection() as connection:
            return await load(connection, event_id, event)

    async def _load(self, event_id: UUID) -> None:
        try:
            async with self._connections.connection() as connection:
                self.put(event_id, await load(connection, event_id))
        finally:
            del self._loading[event_id]

    def _forget(self, event_id: UUID) -> None:
        if event_id in self._events:
            self.bytes -= self._events.pop(event_id)[1]


def size_bytes(event: TicketedEvent | None) -> int:
    """About what an event takes in memory."""
    if event is None:
        return 256
    description = event.details.description or ""
    grown = STOCK_BYTES * len(event.stock) + BUYER_BYTES * len(event.buyers) + HOLD_BYTES * len(event.holds)
    grown += CHANGE_BYTES * len(event.changed_by)
    return EVENT_BYTES + 4 * len(description) + grown
