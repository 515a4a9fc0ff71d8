"""A consumer for tests: it writes down what it is given, in memory or on its standard output."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from domain.event_facts import TicketsHeld
from domain.reservation import ReservationPlaced
from eventstore.consumers.stored_consumer import StoredConsumer
from eventstore.postgres.asyncio_tasks import end
from eventstore.reading import Recorded


class Held(StoredConsumer):
    """Is given both domain events of each command that holds tickets; fails at those positions that it is told to."""

    name = "held"
    types = (TicketsHeld, ReservationPlaced)
    batch_domain_events = 5

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self.batches: list[list[Recorded]] = []
        self.fails_at: set[int] = set()
        self.tried = 0

    async def consume(self, batch: Sequence[Recorded]) -> None:
        self.tried += 1
        if self.fails_at.intersection(one.position for one in batch):
            raise ConnectionError("the other side is away")
        self.batches.append(list(batch))

    @property
    def positions(self) -> list[int]:
        """All that it was given, in the order in which it came."""
        return [one.position for batch in self.batches for one in batch]


@asynccontextmanager
async def consuming(consumer: StoredConsumer) -> AsyncIterator["asyncio.Task[None]"]:
    """The consumer at work for the block."""
    task = asyncio.create_task(consumer.run())
    try:
        yield task
    finally:
        await end(task)


if __name__ == "__main__":
    asyncio.run(Held(sys.argv[1]).run())
