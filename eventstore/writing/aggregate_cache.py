"""Long-lived aggregates in memory: loaded once at a time, caught up from the history, dropped when memory is short."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from eventsourcing.domain import CanInitAggregate
from psycopg_pool import AsyncConnectionPool

from domain.domain_event import DomainEvent, KeptAggregate
from eventstore import reading, snapshots
from eventstore.postgres.connections import Connection

# What it takes to know that a stream does not exist.
NOTHING_BYTES = 256

LOAD_ROWS = 500


def fold(aggregate: KeptAggregate | None, domain_event: DomainEvent) -> Any:
    """The aggregate after one more domain event of its stream; None for a stream that is none of a `KeptAggregate`."""
    if aggregate is None and not isinstance(domain_event, CanInitAggregate):
        return None
    folded = domain_event.mutate(aggregate)
    return folded if isinstance(folded, KeptAggregate) else None


async def load(connection: Connection, stream_id: UUID, aggregate: KeptAggregate | None = None) -> KeptAggregate | None:
    """The `KeptAggregate` as the history has it now, from its snapshot (or from `aggregate`) and the tail; or None.

    Costs one query per 500 domain events of the tail, and lets the event loop run in between.
    """
    if aggregate is None:
        aggregate = await snapshots.newest(connection, stream_id)
    while True:
        version = aggregate.version if aggregate else 0
        rows = await reading.stream_after(connection, stream_id, version, LOAD_ROWS)
        for row in rows:
            aggregate = fold(aggregate, row.recorded().domain_event)
        if aggregate is None or len(rows) < LOAD_ROWS:
            return aggregate


class AggregateCache:
    """The aggregates that this process knows, by stream, bounded by the memory they take: about `bytes`.

    The one that was used last stays, however large it is.
    """

    def __init__(self, connections: AsyncConnectionPool[Connection], max_bytes: int = 512 * 1024 * 1024) -> None:
        self._connections = connections
        self._max_bytes = max_bytes
        self.bytes = 0
        self._kept: OrderedDict[UUID, tuple[KeptAggregate | None, int]] = OrderedDict()
        self._loading: dict[UUID, asyncio.Future[None]] = {}

    def __contains__(self, stream_id: UUID) -> bool:
        return stream_id in self._kept

    def has(self, stream_ids: Iterable[UUID]) -> bool:
        """Whether all of these streams are known."""
        return all(map(self._kept.__contains__, stream_ids))

    def get(self, stream_id: UUID) -> KeptAggregate | None:
        """The aggregate as it was last caught up; None when it did not exist then."""
        return self._kept[stream_id][0]

    def put(self, stream_id: UUID, aggregate: KeptAggregate | None) -> None:
        """Keep the aggregate as the one used last, and make room for it."""
        self._forget(stream_id)
        size = aggregate.size_bytes if aggregate is not None else NOTHING_BYTES
        self._kept[stream_id] = (aggregate, size)
        self.bytes += size
        while self.bytes > self._max_bytes and len(self._kept) > 1:
            self._forget(next(iter(self._kept)))

    def drop(self, stream_ids: Iterable[UUID]) -> None:
        """Forget what may hold facts that were never recorded."""
        for stream_id in stream_ids:
            self._forget(stream_id)

    async def ensure(self, *stream_ids: UUID) -> None:
        """Load what is not here; whoever asks meanwhile waits for the same load."""
        for stream_id in stream_ids:
            while stream_id not in self._kept:
                if stream_id not in self._loading:
                    self._loading[stream_id] = asyncio.ensure_future(self._load(stream_id))
                await asyncio.shield(self._loading[stream_id])

    def put_all(self, aggregates: Mapping[UUID, KeptAggregate | None]) -> None:
        """Keep all of them."""
        for stream_id, aggregate in aggregates.items():
            self.put(stream_id, aggregate)

    async def catch_up(self, stream_id: UUID, aggregate: KeptAggregate | None) -> KeptAggregate | None:
        """The aggregate with what others have recorded since, read without holding its event's lock."""
        async with self._connections.connection() as connection:
            return await load(connection, stream_id, aggregate)

    async def _load(self, stream_id: UUID) -> None:
        try:
            async with self._connections.connection() as connection:
                self.put(stream_id, await load(connection, stream_id))
        finally:
            del self._loading[stream_id]

    def _forget(self, stream_id: UUID) -> None:
        if stream_id in self._kept:
            self.bytes -= self._kept.pop(stream_id)[1]
