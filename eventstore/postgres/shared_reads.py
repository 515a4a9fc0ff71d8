"""Reads by key, many requests in one trip: who asks while a trip is under way goes into the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Self

import psycopg

from eventstore.box_office import BoxOffice
from eventstore.errors import Overloaded
from eventstore.postgres.asyncio_tasks import end
from eventstore.postgres.connections import BY_INDEX, CONNECTION_LOST, ServerSilent
from eventstore.postgres.round_trips import Rows, Statement, Trips

Asked = tuple[Statement, Sequence[bytes | None]]
# The rows of each statement that is asked for, in order.
Ask = Callable[..., Awaitable[list[Rows]]]

# With the trip that is under way, the connection that may have to be made and one's own trip within 10 seconds.
TRIP_SECONDS = 3.0
TOGETHER_MAX = 64
WAITING_MAX = 1_000


class _Waiting(NamedTuple):
    asked: tuple[Asked, ...]
    answer: asyncio.Future[list[Rows]]


class SharedReads:
    """One connection, opened when it is first needed, and anew after whatever goes wrong.

    For statements that look up a few rows by key: what one asks for, the others of its trip wait for as well.
    """

    def __init__(self, box_office: BoxOffice | str) -> None:
        self._box_office = box_office
        self._waiting: deque[_Waiting] = deque()
        self._trips: Trips | None = None
        self._prepared: set[Statement] = set()
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._running is not None:
            await end(self._running)
        self._close()

    async def ask(self, *asked: Asked) -> list[Rows]:
        """The rows of each statement, all after this moment, and each as late as the one before it or later.

        Answered within 10 seconds. Raises `psycopg.Error`, and `Overloaded` when too many wait.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise Overloaded
        answer: asyncio.Future[list[Rows]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(asked, answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        together: list[_Waiting] = []
        try:
            while self._waiting:
                together = [self._waiting.popleft() for _ in range(min(TOGETHER_MAX, len(self._waiting)))]
                together = [one for one in together if not one.answer.done()]
                await self._answer(together)
        except asyncio.CancelledError:
            for one in (*together, *self._waiting):
                one.answer.cancel()
            raise

    async def _answer(self, together: Sequence[_Waiting]) -> None:
        try:
            rows = iter(await self._read([each for one in together for each in one.asked]))
        except Exception as error:
            self._close()
            if len(together) > 1 and not isinstance(error, CONNECTION_LOST):
                # It is for one of them, and no reason to refuse the others.
                for one in together:
                    await self._answer([one])
                return
            for one in together:
                if not one.answer.done():
                    one.answer.set_exception(error)
        else:
            for one in together:
                its_own = [next(rows) for _ in one.asked]
                if not one.answer.done():
                    one.answer.set_result(its_own)

    async def _read(self, asked: Sequence[Asked]) -> list[Rows]:
        """Try it once more on a new connection: the one that was there may have ended since, or know older tables."""
        if self._trips is not None and self._trips.is_open:
            try:
                return await self._go(self._trips, asked)
            except ServerSilent:
                raise
            except psycopg.Error:
                self._close()
        self._prepared.clear()
        self._trips = await Trips.open(self._box_office, (), TRIP_SECONDS, **BY_INDEX)
        return await self._go(self._trips, asked)

    async def _go(self, trips: Trips, asked: Sequence[Asked]) -> list[Rows]:
        if unknown := {statement for statement, _ in asked} - self._prepared:
            await trips.prepare(unknown)
            self._prepared |= unknown
        return await trips.go(*asked)

    def _close(self) -> None:
        if self._trips is not None:
            self._trips.close()
            self._trips = None
