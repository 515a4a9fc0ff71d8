"""What a worker does on a clock in a few lines each: snapshots of long streams, seals, forgetting what is over."""

from uuid import UUID

import psycopg
import structlog

from accounts import api_keys, password_resets, sessions
from domain.domain_event import KeptAggregate
from eventstore import reading, snapshots
from eventstore.postgres.connections import Connection
from eventstore.seals import seals
from eventstore.writing import refused_attempts
from eventstore.writing.aggregate_cache import load
from workers.job_runner import Job

log = structlog.get_logger()


class Snapshots(Job):
    """Looks through what was appended since its last call; on a new process, since the last range that was done."""

    name = "snapshots"
    interval_seconds = 5

    def __init__(self) -> None:
        self._looked_through: int | None = None
        self._unreadable: set[UUID] = set()

    async def work(self, connection: Connection) -> None:
        after = self._looked_through
        if after is None:
            after = await snapshots.looked_through(connection)
        head = await reading.head(connection)
        while after < head:
            upto = min(after + snapshots.SCAN_POSITIONS, head)
            grown = await snapshots.grown_streams(connection, after, upto)
            for number, stream_id in enumerate(grown, 1):
                if (event := await self._loaded(connection, stream_id)) is not None:
                    # Only the last one says that the range is done: a process that ends before it leaves the others.
                    await snapshots.keep(connection, event, upto if number == len(grown) else after)
            after = self._looked_through = upto

    async def _loaded(self, connection: Connection, stream_id: UUID) -> KeptAggregate | None:
        """The event; None, told once, where its stream can't be read, so that the others get their snapshots."""
        try:
            return await load(connection, stream_id)
        except psycopg.Error:
            raise
        except Exception:
            if stream_id not in self._unreadable:
                log.exception("a stream can't be read, and gets no snapshot", stream=str(stream_id))
            self._unreadable.add(stream_id)
            return None


class Sealing(Job):
    """One range after the other until all that was there is sealed; what comes meanwhile waits for the next call."""

    name = "sealing"
    interval_seconds = 5

    async def work(self, connection: Connection) -> None:
        while (seal := await seals.seal_next(connection)) and seal.positions >= seals.RANGE_POSITIONS:
            pass


class RefusalRetention(Job):
    """The history and everything folded from it stay as they are."""

    name = "ageing"
    interval_seconds = 600

    def __init__(self, refusals_kept_days: int) -> None:
        self._refusals_kept_days = refusals_kept_days

    async def work(self, connection: Connection) -> None:
        while await refused_attempts.forget(connection, self._refusals_kept_days):
            pass


class EndedLogins(Job):
    """What is over is good for nothing before it is dropped."""

    name = "ended logins"
    interval_seconds = 600

    async def work(self, connection: Connection) -> None:
        await sessions.forget(connection)
        await password_resets.forget(connection)
        await api_keys.forget(connection)
