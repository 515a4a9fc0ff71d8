"""A job that one worker at a time does: its connection holds an advisory lock, and loses it when its process hangs."""

import asyncio

import structlog

from eventstore.connections import BY_INDEX, CONNECTION_LOST, WORKER_ROLE, Connection, connect
from eventstore.locks import LOCK_CLASS

TRY_LOCK = "SELECT pg_try_advisory_lock(%(lock_class)s, %(lock_key)s)"

log = structlog.get_logger()


class Alone:
    """Runs `work(connection)` at each call of `run`, unless another process holds the lock.

    A database that is away is logged and tried again at the next call. `idle_seconds` without a call frees the lock.
    """

    def __init__(self, database_url: str, lock_key: int, idle_seconds: int) -> None:
        self._database_url = database_url
        self._lock_key = lock_key
        self._idle_seconds = idle_seconds
        self._connection: Connection | None = None
        self._holds_lock = False
        self._in_use = asyncio.Lock()

    async def run(self) -> None:
        """Do the work once if this process holds the lock or can take it."""
        async with self._in_use:
            await self._run()

    async def work(self, connection: Connection) -> None:
        """What this job does, alone."""
        raise AssertionError(f"{type(self).__name__} has nothing to do")

    async def close(self) -> None:
        """Give the lock to another worker, once a run under way has ended."""
        async with self._in_use:
            await self._disconnect()

    async def _run(self) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._holds_lock = False
                settings = {"role": WORKER_ROLE, "idle_session_timeout": f"{self._idle_seconds}s"}
                self._connection = await connect(self._database_url, **BY_INDEX, **settings)
            if not self._holds_lock:
                values = {"lock_class": LOCK_CLASS, "lock_key": self._lock_key}
                row = await (await self._connection.execute(TRY_LOCK, values)).fetchone()
                self._holds_lock = bool(row and row[0])
            if self._holds_lock:
                await self.work(self._connection)
        except CONNECTION_LOST as error:
            log.warning("the database is away", job=type(self).__name__, error=repr(error))
            await self._disconnect()
        except asyncio.CancelledError:
            # The scheduler is closing and would log this as an error.
            await self._disconnect()
        except BaseException:
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()
