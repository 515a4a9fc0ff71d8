"""A consumer of the history: one process at a time takes batch after batch of whole commands, from a checkpoint on."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, NamedTuple, TypeVar

import structlog

from eventstore.box_office import BoxOffice
from eventstore.errors import BatchFailed, CheckpointMoved
from eventstore.postgres.connections import Connection
from eventstore.postgres.lease import Lease, Term

BATCH_DOMAIN_EVENTS = 4_096
# The safety net beneath NOTIFY.
POLL_SECONDS = 0.5
# So that a stream of small appends is not taken one by one: a batch starts so long after the one before it; later where
# so much comes that what each batch costs by itself counts, and never so late that anybody would notice.
BATCH_INTERVAL_SECONDS, BUSY_INTERVAL_SECONDS = 0.02, 0.05
BUSY_DOMAIN_EVENTS_A_SECOND = 500
# What failed is tried again after this: whatever was wrong may have been mended.
MENDED_SECONDS = 10.0

SAY = "SELECT set_config('application_name', %(text)s, false)"

log = structlog.get_logger()

T = TypeVar("T")


class Taken(NamedTuple):
    """So many domain events were taken, and the checkpoint is at `position` now."""

    domain_events: int
    position: int


# Takes the next domain events, at most so many and the rest of the last one's command, and advances the checkpoint.
# Raises `BatchFailed`, `CheckpointMoved`, `psycopg.Error`.
TakeNext = Callable[[int], Awaitable[Taken]]


class Consumer(ABC, Generic[T]):
    """Any number may run at once: one is active, the others stand by and one of them takes over within 3 seconds.

    The checkpoint is the subclass's own: it reads it with the lock, and advances it together with the work or after it,
    by comparing and setting it, since for a moment two may believe that they are alone.
    """

    name: str
    batch_domain_events = BATCH_DOMAIN_EVENTS

    def __init__(self, box_office: BoxOffice | str) -> None:
        self._lease = Lease(box_office, self.name, self.ask, self._take)
        self._stopped_before: int | None = None

    async def run(self) -> None:
        """Consume until cancelled, whatever becomes of the database. Whatever ends it releases the lock.

        When a batch fails, it is given again command by command, up to the one that can't be taken. There the consumer
        stops and skips nothing; the log names the position, and so does the lock's session to whoever looks.
        """
        await self._lease.keep()

    @abstractmethod
    async def ask(self, holder: Connection) -> T | None:
        """Try once to take this consumer's lock; returns where its checkpoint is, None while another has the lock."""

    @abstractmethod
    def open(self, term: Term[T]) -> AbstractAsyncContextManager[tuple[Connection, TakeNext]]:
        """Begin at the checkpoint that came with the lock; gives a connection to listen on, and the way to go on."""

    def tell_stopped(self, failure: BatchFailed) -> None:
        """Say in the log what it is that can't be taken: once, though it is tried again."""
        log.error(f"the {self.name} stopped", error=str(failure))

    async def _take(self, term: Term[T]) -> None:
        try:
            async with self.open(term) as (connection, take_next):
                await connection.execute(f"LISTEN {connection.box_office.channel}")
                await self._take_for_ever(take_next, connection, term)
        except CheckpointMoved:
            log.warning("another process has moved the checkpoint: starting over from it", consumer=self.name)
        except BatchFailed as failure:
            await self._stand_still(failure, term)

    async def _take_for_ever(self, take_next: TakeNext, connection: Connection, term: Term[T]) -> None:
        limit, one_by_one_to, told = self.batch_domain_events, 0, False
        while True:
            began_at_seconds = asyncio.get_running_loop().time()
            try:
                taken = await take_next(limit)
            except BatchFailed as failure:
                if limit == 1:
                    raise
                limit, one_by_one_to = 1, failure.last_position
                continue
            term.goes_on()
            if not told:
                log.info("consuming", consumer=self.name, position=taken.position)
            told = True
            if taken.position >= one_by_one_to:
                limit = self.batch_domain_events
            if self._stopped_before is not None and taken.position >= self._stopped_before:
                self._stopped_before = None
            caught_up = taken.domain_events < limit
            await _hear(connection, POLL_SECONDS if caught_up and not taken.domain_events else 0)
            if caught_up:
                taken_seconds = asyncio.get_running_loop().time() - began_at_seconds
                await asyncio.sleep(_interval_seconds(taken.domain_events) - taken_seconds)

    async def _stand_still(self, failure: BatchFailed, term: Term[T]) -> None:
        """Keep the lock for a while, so that whoever looks sees what is wrong; what failed may then be tried again."""
        if failure.position != self._stopped_before:
            self.tell_stopped(failure)
        self._stopped_before = failure.position
        await term.holder.execute(SAY, {"text": f"{stopped_before(self.name)}{failure.position}"})
        await asyncio.sleep(MENDED_SECONDS)


def _interval_seconds(domain_events: int) -> float:
    """From one batch to the next, after one of so many."""
    return min(max(BATCH_INTERVAL_SECONDS, domain_events / BUSY_DOMAIN_EVENTS_A_SECOND), BUSY_INTERVAL_SECONDS)


def stopped_before(name: str) -> str:
    """What the session that holds a consumer's lock is listed as while it stands still, up to the position."""
    return f"tixxety {name}: stopped before "


async def _hear(connection: Connection, patience_seconds: float) -> None:
    """Wait for an append; what has been heard already counts and is cleared away."""
    async for _ in connection.notifies(timeout=patience_seconds, stop_after=1):
        pass
