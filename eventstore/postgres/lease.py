"""A lease: the right to do what one process at a time does, for as long as that process lives and is heard."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Generic, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from eventstore.box_office import BoxOffice
from eventstore.postgres.asyncio_tasks import first_to_end
from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from eventstore.postgres.outage_log import Outage

# A holder that is frozen or cut off loses its lock after HOLDER_TIMEOUT; who stands by asks every STANDBY_SECONDS.
HEARTBEAT_SECONDS = 0.25
HOLDER_TIMEOUT = "1s"
STANDBY_SECONDS = 0.2
# Whoever has the lease for so long gets on with its work; one that fails leaves it sooner.
CALM_AFTER_ASKING = 25
# A server that is frozen is left after this; too short, and a busy one would be left as well.
ANSWER_SECONDS = 3.0
FIRST_BACK_OFF_SECONDS, LAST_BACK_OFF_SECONDS = 0.1, 1.0

HEARTBEAT = "SELECT"

T = TypeVar("T")


class Term(Generic[T]):
    """The time for which a process has the lease. `taken` is what it was given with it.

    `box_office` leads to the very server that the lock is held on, where several are named: what is done under the
    lease belongs there, and finds it without asking those that are away.
    """

    def __init__(self, holder: Connection, taken: T, goes_on: Callable[[], None]) -> None:
        self.holder = holder
        self.taken = taken
        info, office = holder.info, holder.box_office
        url = make_conninfo(office.url, host=info.host, port=info.port, hostaddr=info.hostaddr or None)
        self.box_office = replace(office, url=url)
        # To be called when the work gets on: an outage is over then, and the next one is met with new patience.
        self.goes_on = goes_on


class Lease(Generic[T]):
    """Any number of processes may ask for it; one has it, and another within 3 seconds of that one's silence.

    The lock is held by a session that sends and receives next to nothing, so that the server can end it whenever its
    client is silent. For a moment two may believe that they have it: what is done under it has to stand that.
    """

    def __init__(
        self,
        box_office: BoxOffice | str,
        what: str,
        ask: Callable[[Connection], Awaitable[T | None]],
        work: Callable[[Term[T]], Coroutine[Any, Any, None]],
    ) -> None:
        """`ask` tries once to take the lock; None means that another has it. `what` is the work's name in the log."""
        self._box_office = box_office
        self._ask = ask
        self._work = work
        self._outage = Outage(what)
        self._back_off_seconds = FIRST_BACK_OFF_SECONDS

    async def keep(self) -> None:
        """Work whenever the lease is ours, until cancelled. Whatever is wrong with the database is waited through."""
        while True:
            try:
                await self._once()
            except psycopg.Error as error:
                self._outage.note(error)
            await asyncio.sleep(self._back_off_seconds)
            self._back_off_seconds = min(2 * self._back_off_seconds, LAST_BACK_OFF_SECONDS)

    async def _once(self) -> None:
        settings = {"role": WORKER_ROLE, "idle_session_timeout": HOLDER_TIMEOUT}
        async with await connect(self._box_office, ANSWER_SECONDS, **settings) as holder:
            asked = 1
            while (taken := await self._ask(holder)) is None:
                if asked == CALM_AFTER_ASKING:
                    self._goes_on()
                asked += 1
                await asyncio.sleep(STANDBY_SECONDS)
            term = Term(holder, taken, self._goes_on)
            await first_to_end(_keep_alive(holder), self._work(term))

    def _goes_on(self) -> None:
        self._outage.over()
        self._back_off_seconds = FIRST_BACK_OFF_SECONDS


async def _keep_alive(holder: Connection) -> None:
    """Speak often enough on the session that holds the lock; raises `psycopg.OperationalError` once it is lost."""
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        await holder.execute(HEARTBEAT)
