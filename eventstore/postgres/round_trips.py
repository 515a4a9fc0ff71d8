"""Trips to PostgreSQL: prepared statements that leave in one piece and are answered together.

They end with a Sync and nothing after it. psycopg's pipelines ask for a Flush behind it, and after that the server does
not count the session as idle in its transaction: a client that is frozen then keeps its locks for ever.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import Connection, ServerSilent, connect

Rows = list[tuple[Any, ...]]
BINARY = pq.Format.BINARY


class Statement(NamedTuple):
    """What each connection prepares under `name`; parameters are `$1`, `$2` … and travel in binary format."""

    name: str
    text: str


def numbered(query: str, *names: str) -> str:
    """A query in psycopg's notation as a statement's text: `%(name)s` is `$1`, `$2` … in the order of the names."""
    return query % {name: f"${number}" for number, name in enumerate(names, start=1)} if names else query


class Trips:
    """Trips on a connection of their own, one at a time, each answered within `seconds`.

    After any exception but a refused statement's the connection is closed; after that one its transaction is broken.
    """

    def __init__(self, connection: Connection, seconds: float) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._loader = Transformer()
        self._results: list[pq.abc.PGresult] = []
        self._answer: asyncio.Future[list[pq.abc.PGresult]] | None = None
        self.backend_pid = connection.info.backend_pid
        self.box_office = connection.box_office
        # libpq forgets the socket once the connection is lost.
        self._socket = self._pgconn.socket

    @classmethod
    async def open(
        cls, box_office: BoxOffice | str, statements: Sequence[Statement], seconds: float, **settings: str
    ) -> Self:
        """Connect and prepare the statements. Raises `psycopg.Error`."""
        trips = cls(await connect(box_office, seconds, **settings), seconds)
        trips._pgconn.nonblocking = 1
        trips._pgconn.enter_pipeline_mode()
        trips._loop.add_reader(trips._socket, trips._readable)
        try:
            await trips.prepare(statements)
        except BaseException:
            # The event loop watches the socket, and would keep the connection for ever.
            trips.close()
            raise
        return trips

    @property
    def is_open(self) -> bool:
        """Whether nothing has been heard of the connection's end; also while nothing is asked."""
        return self._pgconn.status == pq.ConnStatus.OK

    async def prepare(self, statements: Iterable[Statement]) -> None:
        """Have the server know more statements; none of them when one is refused."""
        prepare = self._pgconn.send_prepare
        await self._go([partial(prepare, each.name.encode(), each.text.encode()) for each in statements])

    async def go(self, *sends: tuple[Statement, Sequence[bytes | None]]) -> list[Rows]:
        """Send all of them and return the rows of each.

        Raises `psycopg.Error`: of the first statement that was refused (those after it were skipped), or because the
        connection is lost; `ServerSilent` when there is no answer in time.
        """

        execute = self._pgconn.send_query_prepared
        results = await self._go(
            [
                partial(execute, statement.name.encode(), parameters, [BINARY] * len(parameters), BINARY)
                for statement, parameters in sends
            ]
        )
        return [self._rows(result) for result in results]

    def close(self) -> None:
        """Close the connection, and with it its transaction. Can be called twice."""
        if self._socket >= 0:
            # Before libpq closes the socket, so that the loop never watches a number that is somebody else's by then.
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = -1
        self._pgconn.finish()
        self._end(psycopg.OperationalError("the connection is closed"))

    async def _go(self, sends: Sequence[Callable[[], None]]) -> list[pq.abc.PGresult]:
        assert self._answer is None, "one trip at a time"  # noqa: S101
        if not self.is_open:
            raise psycopg.OperationalError("the connection is lost")
        answer: asyncio.Future[list[pq.abc.PGresult]] = self._loop.create_future()
        self._answer = answer
        try:
            for send in sends:
                send()
            self._pgconn.pipeline_sync()
            self._send_rest()
            async with asyncio.timeout(self._seconds):
                return await answer
        except TimeoutError:
            if answer.done() and not answer.cancelled():
                # It came while something else kept the event loop from seeing that there was still time.
                return answer.result()
            self.close()
            raise ServerSilent(f"the database has not answered for {self._seconds:g} s") from None
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._answer = None

    def _send_rest(self) -> None:
        # libpq keeps what the socket did not take; to wait for answers meanwhile would hang both sides.
        if self._pgconn.flush():
            self._loop.add_writer(self._socket, self._send_rest)
        else:
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    if self._answer is None or self._answer.done():
                        return
                    continue
                if result.status == pq.ExecStatus.PIPELINE_SYNC:
                    self._end(None)
                    return
                self._results.append(result)
        except psycopg.Error as lost:
            self._end(lost)
            self.close()

    def _end(self, lost: psycopg.Error | None) -> None:
        """Answer with what has come, or with the first thing that went wrong."""
        results, self._results = self._results, []
        if self._answer is None or self._answer.done():
            return
        refused = next((r for r in results if r.status == pq.ExecStatus.FATAL_ERROR), None)
        if refused is not None:
            self._answer.set_exception(psycopg.errors.error_from_result(refused))
        elif lost is not None:
            self._answer.set_exception(lost)
        else:
            self._answer.set_result(results)

    def _rows(self, result: pq.abc.PGresult) -> Rows:
        self._loader.set_pgresult(result, format=BINARY)
        return self._loader.load_rows(0, result.ntuples, tuple)
