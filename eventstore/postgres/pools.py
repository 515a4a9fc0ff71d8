"""Pools that hand out no connection the server has ended, and tell a busy pool from a database that is away."""

import select
from time import monotonic
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

PooledConnection = psycopg.AsyncConnection[tuple[Any, ...]]


class NoneAnswers(psycopg.OperationalError):
    """No connection is free, and none was alive for as long as one waits: the database is away."""


class Pool(AsyncConnectionPool[Any]):
    """psycopg's pool. A server that has ended an idle connection costs nobody a failed request.

    `PoolTimeout` and `TooManyRequests` mean that the others are served; else `NoneAnswers` is raised instead.
    """

    _alive_at_seconds = float("-inf")

    async def open(self, wait: bool = False, timeout: float = 30.0) -> None:
        """Begin to connect; whoever comes before that is done has come too early and not in vain."""
        self._alive_at_seconds = monotonic()
        await super().open(wait, timeout)

    async def getconn(self, timeout: float | None = None) -> Any:
        """A connection that was alive just now. Looks at the socket, and asks the server only where that has news."""
        until = monotonic() + (self.timeout if timeout is None else timeout)
        try:
            for _ in range(self.max_size):
                connection = await super().getconn(until - monotonic())
                try:
                    is_alive = not _has_news(connection) or await _answers(connection)
                except BaseException:
                    # Who gives up while it is asked has no connection yet, and could not give it back.
                    await super().putconn(connection)
                    raise
                if is_alive:
                    self._alive_at_seconds = monotonic()
                    return connection
                await super().putconn(connection)
            return await super().getconn(until - monotonic())
        except (PoolTimeout, TooManyRequests):
            if monotonic() - self._alive_at_seconds > self.timeout:
                raise NoneAnswers("no connection to the database, and none was alive for some time") from None
            raise

    async def putconn(self, conn: Any) -> None:
        """Take a connection back, and remember when one was last alive."""
        if not conn.closed:
            self._alive_at_seconds = monotonic()
        await super().putconn(conn)


def _has_news(connection: PooledConnection) -> bool:
    """Whether something has arrived on a connection that has asked nothing: its end, or a notice."""
    if connection.closed:
        return True
    looking = select.poll()
    looking.register(connection.pgconn.socket, select.POLLIN)
    return bool(looking.poll(0))


async def _answers(connection: PooledConnection) -> bool:
    try:
        await connection.execute("")
    except psycopg.Error:
        await connection.close()
    return not connection.closed
