"""Connections to PostgreSQL with the settings that our promises rest on."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool

from eventstore.box_office import APP_ROLE as APP_ROLE
from eventstore.box_office import WORKER_ROLE as WORKER_ROLE
from eventstore.box_office import BoxOffice
from eventstore.postgres.pools import Pool

# A server that is frozen, or cut off without a word, never answers: so long is any answer waited for.
ANSWER_SECONDS = 10.0
# For what somebody waits for: together with the wait for a connection still within that bound.
POOL_SECONDS, POOL_ANSWER_SECONDS = 4.0, 5.0
# How long the server is asked to cancel what nobody waits for any more.
CANCEL_SECONDS = 1.0

# Nothing that loses a promise is inherited from the server: a frozen process must not hold a hot event, nor may a host
# that is gone without a word keep its session.
SETTINGS = {
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "2s",
    # A quiet hour is no reason to lose the connections that the next buyer needs.
    "idle_session_timeout": "0",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "15s",
    "statement_timeout": "0",
    # What a database or a login may have been set to, and what then can't be read.
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    # Compiling a plan costs more than all that our statements do, and plans that may not scan look expensive.
    "jit": "off",
}
# For connections with fixed queries: a plan that scans is made while a table is small, and kept while it grows.
BY_INDEX = {"enable_seqscan": "off"}
# What psycopg raises when a connection or its server is gone; the last two are not among its OperationalErrors.
CONNECTION_LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.TransactionTimeout,
)
KEEPALIVES: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
    "connect_timeout": 3,
    # Unless the URL gives another. By it `migrate` tells our sessions from those of version 2, which had none.
    "fallback_application_name": "tixxety",
}
# Settings that this server does not know yet are left out.
CONFIGURE = """
SELECT set_config(name, value, false) FROM unnest(%(names)s::text[], %(values)s::text[]) AS setting (name, value)
WHERE current_setting(name, true) IS NOT NULL
"""
# Since PostgreSQL 16 a member of a role may be one without the right to act as it.
MAY_ACT_AS = """
SELECT pg_has_role(current_user, oid, CASE WHEN current_setting('server_version_num')::int >= 160000
                                           THEN 'SET' ELSE 'MEMBER' END)
FROM pg_roles WHERE rolname = %(role)s
"""
LEAVE_ROLE = "RESET ROLE"
TAKE_ROLE = f"SELECT set_config('role', %(role)s, false) WHERE ({MAY_ACT_AS})"

T = TypeVar("T")


class ServerSilent(psycopg.OperationalError):
    """The database did not answer in time, and the connection is closed: whatever was asked may have been done."""


class Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection on which no single answer is waited for longer than `answer_seconds`; None is without bound.

    What is given up, because of that or because its task was cancelled, costs the connection: it is closed at once.
    `notifies` needs a `timeout` of its own, since silence is what it waits through. Whoever makes a connection by the
    functions below finds there which box office it belongs to.
    """

    box_office: BoxOffice
    answer_seconds: float | None = ANSWER_SECONDS

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """psycopg's. One that is given up on the way is closed at once, not when somebody collects it.

        Until then its server would wait for a login, and hold up whoever wants to drop the database.
        """
        try:
            return await super().connect(conninfo, **options)
        except BaseException as given_up:
            # Its traceback keeps the variables of psycopg's functions, among them the socket.
            traceback.clear_frames(given_up.__traceback__)
            raise

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """psycopg's one place to wait for the server. Raises `ServerSilent`."""
        try:
            async with asyncio.timeout(self.answer_seconds if timeout is None else None):
                return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except TimeoutError:
            self.pgconn.finish()
            raise ServerSilent(f"the database has not answered for {self.answer_seconds} s") from None
        except asyncio.CancelledError:
            await self._give_up()
            raise

    async def _give_up(self) -> None:
        """Have the server stop what it does for nobody, as far as it listens; psycopg's own way may take 10 s."""
        if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
            try:
                await self.cancel_safe(timeout=CANCEL_SECONDS)
            except psycopg.Error:
                pass
            finally:
                self.pgconn.finish()


async def connect(
    box_office: BoxOffice | str, answer_seconds: float | None = ANSWER_SECONDS, /, **settings: str
) -> Connection:
    """One connection of its own, in autocommit mode; keyword arguments override settings of the session.

    Among them is `role`, such as `WORKER_ROLE`, which the session takes if its login may; else it takes `APP_ROLE`, if
    it may that.
    """
    office = BoxOffice.at(box_office)
    connection = await Connection.connect(office.url, autocommit=True, **KEEPALIVES)
    connection.answer_seconds = answer_seconds
    try:
        await _configure(connection, office, settings)
    except BaseException:
        await connection.close()
        raise
    return connection


async def connect_as_owner(
    box_office: BoxOffice | str, answer_seconds: float | None = None, /, **settings: str
) -> Connection:
    """The same in the login's own name, not in the role that serves: for who makes and renames schemas.

    Answers may take as long as they take, unless a bound is given.
    """
    connection = await connect(box_office, answer_seconds, **settings)
    try:
        await connection.execute(LEAVE_ROLE)
    except BaseException:
        await connection.close()
        raise
    return connection


def pool(
    box_office: BoxOffice | str, max_size: int, answer_seconds: float = POOL_ANSWER_SECONDS, /, **settings: str
) -> AsyncConnectionPool[Connection]:
    """A pool of such connections, not open yet. Waiting for one is bounded to 4 seconds, for an answer to 5.

    A database that is back is noticed within a second of being asked for: the pool's pauses between its attempts double
    for as long as one connection is tried, so each is given up soon, and the next who asks begins anew.
    """
    office = BoxOffice.at(box_office)

    async def configure(connection: Connection) -> None:
        connection.answer_seconds = answer_seconds
        await _configure(connection, office, settings)

    configured: Callable[[Connection], Awaitable[None]] = configure
    return Pool(
        office.url,
        connection_class=Connection,
        kwargs={"autocommit": True, **KEEPALIVES},
        configure=configured,
        min_size=1,
        max_size=max_size,
        timeout=POOL_SECONDS,
        max_waiting=1_000,
        reconnect_timeout=2,
        open=False,
    )


async def _configure(connection: Connection, box_office: BoxOffice, settings: dict[str, str]) -> None:
    connection.box_office = box_office
    wanted = {"search_path": box_office.search_path} | SETTINGS | settings
    role = wanted.pop("role", APP_ROLE)
    await connection.execute(CONFIGURE, {"names": list(wanted), "values": list(wanted.values())})
    taken = await connection.execute(TAKE_ROLE, {"role": box_office.roles[role]})
    if not taken.rowcount and role != APP_ROLE:
        await connection.execute(TAKE_ROLE, {"role": box_office.roles[APP_ROLE]})
