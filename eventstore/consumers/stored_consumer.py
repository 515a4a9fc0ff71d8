"""A consumer whose checkpoint is a row of the table `consumers`: it is given what it names, in order, at least once."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

from domain.domain_event import DomainEvent
from eventstore import reading
from eventstore.consumers.consumer import Consumer, Taken, TakeNext
from eventstore.errors import BatchFailed, CheckpointMoved
from eventstore.postgres.connections import BY_INDEX, WORKER_ROLE, Connection, connect
from eventstore.postgres.lease import Term
from eventstore.reading import Recorded, StoredRow

# A checkpoint that is lost with the server is repeated, not missed.
SETTINGS = BY_INDEX | {"role": WORKER_ROLE, "synchronous_commit": "off"}

BEGIN = "INSERT INTO consumers (name) VALUES (%(name)s) ON CONFLICT DO NOTHING"
TRY_LOCK = "SELECT pg_try_advisory_lock(%(lock_class)s, number) FROM consumers WHERE name = %(name)s"
READ = "SELECT position FROM consumers WHERE name = %(name)s"
ADVANCE = """
UPDATE consumers SET position = %(position)s, moved_at = clock_timestamp()
WHERE name = %(name)s AND position = %(position_before)s AND position < %(position)s
"""


class StoredConsumer(Consumer[int]):
    """Consumes domain events of some `types` under a `name` of at most 19 characters: a-z, 0-9 and hyphens.

    A new name begins with the first domain event that there is.
    """

    types: ClassVar[Collection[type[DomainEvent]]]

    @abstractmethod
    async def consume(self, batch: Sequence[Recorded]) -> None:
        """Do the work for these domain events: all of `types` in some whole commands, in order, never none.

        Once it returns, the checkpoint is advanced. What it raises has the batch given again, command by command; so
        has whatever ends the process in between. It bounds its own waiting.
        """

    async def ask(self, holder: Connection) -> int | None:
        """Try to take the lock of this name, which begins at position 0; returns its checkpoint."""
        values = {"lock_class": holder.box_office.consumer_class, "name": self.name}
        row = await (await holder.execute(TRY_LOCK, values)).fetchone()
        if row is None:
            await holder.execute(BEGIN, values)
        if row is None or not row[0]:
            return None
        # Read on its own: what comes with the lock may be from before the last one's end.
        found = await (await holder.execute(READ, values)).fetchone()
        return int(found[0]) if found else None

    @asynccontextmanager
    async def open(self, term: Term[int]) -> AsyncIterator[tuple[Connection, TakeNext]]:
        """Go on from this checkpoint."""
        position = term.taken
        async with await connect(term.box_office, **SETTINGS) as connection:

            async def take_next(limit: int) -> Taken:
                nonlocal position
                if rows := await reading.rows_after(connection, position, limit):
                    await self._give(rows)
                    await self._advance(connection, position, rows[-1].position)
                    position = rows[-1].position
                return Taken(len(rows), position)

            yield connection, take_next

    async def _give(self, rows: list[StoredRow]) -> None:
        topics = {domain_event.TOPIC for domain_event in self.types}
        try:
            if batch := [row.recorded() for row in rows if row.topic in topics]:
                await self.consume(batch)
        except Exception as error:
            first, last = rows[0].position, rows[-1].position
            said = f"The {self.name} can't take what was recorded at the positions {first} to {last}: {error!r}"
            raise BatchFailed(said, first, last) from error

    async def _advance(self, connection: Connection, position_before: int, position: int) -> None:
        values = {"name": self.name, "position_before": position_before, "position": position}
        if (await connection.execute(ADVANCE, values)).rowcount != 1:
            raise CheckpointMoved
