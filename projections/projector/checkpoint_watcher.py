"""Knows how far the projections are, and wakes those who wait for them: by NOTIFY, on one connection."""

import asyncio
import math
from typing import Self

from eventstore.box_office import BoxOffice
from eventstore.postgres.asyncio_tasks import end
from eventstore.postgres.connections import Connection, connect
from eventstore.postgres.outage_log import Outage
from projections import checkpoint
from projections.recent_changes import ChangedEvents

FIRST_BACK_OFF_SECONDS, LAST_BACK_OFF_SECONDS = 0.1, 2.0
# The safety net beneath NOTIFY, whose queue somebody else may have filled.
POLL_SECONDS = 0.25
# Longer than a poll and its answer take, and no longer than anybody may be shown what is not true any more.
CURRENT_SECONDS = 1.0
# A server that is frozen is left after this.
ANSWER_SECONDS = 3.0
# Asking for it has the server let go of what all listeners have heard: a full queue would stay full without.
QUEUE_USAGE = "SELECT pg_notification_queue_usage()"


class CheckpointWatcher:
    """One per process. `position` is what the projections have reached; 0 while the database is away.

    `changed_events` is what looks different up to there, to be trusted while `is_current_at`.

    A waiter costs a future and an entry in a set, for as long as it waits, and no connection.
    """

    def __init__(self, box_office: BoxOffice | str) -> None:
        self.position = 0
        self.changed_events = ChangedEvents()
        self._heard_at_seconds = -math.inf
        self._box_office = box_office
        self._waiters: set[tuple[int, asyncio.Future[None]]] = set()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="checkpoint watcher")
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._task)

    @property
    def waiting(self) -> int:
        """How many wait at the moment."""
        return len(self._waiters)

    def is_current_at(self, now_seconds: float) -> bool:
        """Whether the database has been heard of within the last second, by the event loop's clock."""
        return now_seconds - self._heard_at_seconds < CURRENT_SECONDS

    async def wait_for(self, position: int, patience_seconds: float) -> bool:
        """Whether the projections have reached `position`, now or within `patience_seconds`."""
        if self.position >= position:
            return True
        waiter = (position, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        try:
            await asyncio.wait_for(waiter[1], patience_seconds)
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)
        return True

    async def _run(self) -> None:
        back_off_seconds = FIRST_BACK_OFF_SECONDS
        outage = Outage("checkpoint watcher")
        while True:
            try:
                async with await connect(self._box_office, ANSWER_SECONDS) as connection:
                    await connection.execute(f"LISTEN {connection.box_office.projections}")
                    await self._look(connection)
                    back_off_seconds = FIRST_BACK_OFF_SECONDS
                    outage.over()
                    await self._follow(connection)
            except Exception as error:
                outage.note(error)
            finally:
                self.position = 0
                self._heard_at_seconds = -math.inf
                self.changed_events.forget()
            await asyncio.sleep(back_off_seconds)
            back_off_seconds = min(2 * back_off_seconds, LAST_BACK_OFF_SECONDS)

    async def _follow(self, connection: Connection) -> None:
        while True:
            # Whoever may log in may notify, of anything: it is a reason to look and no more.
            heard = [notify async for notify in connection.notifies(timeout=POLL_SECONDS, stop_after=1)]
            if not heard:
                await connection.execute(QUEUE_USAGE)
            await self._look(connection)

    async def _look(self, connection: Connection) -> None:
        asked_at_seconds = asyncio.get_running_loop().time()
        now = await checkpoint.read(connection)
        self._heard_at_seconds = asked_at_seconds
        self.changed_events.learn(now)
        self.position = position = now.position
        for waiter in self._waiters:
            if waiter[0] <= position and not waiter[1].done():
                waiter[1].set_result(None)
