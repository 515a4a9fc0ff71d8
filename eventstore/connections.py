"""Connections to PostgreSQL with the settings that our promises rest on."""

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

HISTORY_SCHEMA = "tixxety"
PROJECTIONS_SCHEMA = "projections"
# A rebuild makes the next set of tables, and keeps the one before.
NEXT_PROJECTIONS_SCHEMA = "projections_next"
OLD_PROJECTIONS_SCHEMA = "projections_old"
APP_ROLE = "tixxety_app"

# Nothing that loses a promise is inherited from the server: a frozen process must not hold a hot event.
SETTINGS = {
    "search_path": f"{HISTORY_SCHEMA}, {PROJECTIONS_SCHEMA}, public",
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "2s",
    "timezone": "UTC",
}
# For connections with fixed queries: a plan that scans is made while a table is small, and kept while it grows.
BY_INDEX = {"enable_seqscan": "off"}
# What psycopg raises when a connection or its server is gone; the last one is not among its OperationalErrors.
CONNECTION_LOST = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.IdleInTransactionSessionTimeout)
KEEPALIVES: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
    "connect_timeout": 5,
}
CONFIGURE = """
SELECT set_config(name, value, false) FROM unnest(%(names)s::text[], %(values)s::text[]) AS setting (name, value)
"""
# Since PostgreSQL 16 a member of a role may be one without the right to act as it.
MAY_ACT_AS = """
SELECT pg_has_role(current_user, oid, CASE WHEN current_setting('server_version_num')::int >= 160000
                                           THEN 'SET' ELSE 'MEMBER' END)
FROM pg_roles WHERE rolname = %(role)s
"""
LEAVE_ROLE = "RESET ROLE"
TAKE_ROLE = f"SELECT set_config('role', %(role)s, false) WHERE ({MAY_ACT_AS})"

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


async def connect(database_url: str, **settings: str) -> Connection:
    """One connection of its own, in autocommit mode; keyword arguments override settings of the session."""
    connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True, **KEEPALIVES)
    try:
        await _configure(connection, settings)
    except BaseException:
        await connection.close()
        raise
    return connection


async def connect_as_owner(database_url: str, **settings: str) -> Connection:
    """The same in the login's own name, not in the role that serves: for who makes and renames schemas."""
    connection = await connect(database_url, **settings)
    try:
        await connection.execute(LEAVE_ROLE)
    except BaseException:
        await connection.close()
        raise
    return connection


def pool(database_url: str, max_size: int, **settings: str) -> AsyncConnectionPool[Connection]:
    """A pool of such connections, not open yet. Waiting for one is bounded to 5 seconds."""

    async def configure(connection: Connection) -> None:
        await _configure(connection, settings)

    configured: Callable[[Connection], Awaitable[None]] = configure
    return AsyncConnectionPool(
        database_url,
        kwargs={"autocommit": True, **KEEPALIVES},
        configure=configured,
        min_size=1,
        max_size=max_size,
        timeout=5,
        max_waiting=1_000,
        reconnect_timeout=60,
        open=False,
    )


async def _configure(connection: Connection, settings: dict[str, str]) -> None:
    wanted = SETTINGS | settings
    await connection.execute(CONFIGURE, {"names": list(wanted), "values": list(wanted.values())})
    await connection.execute(TAKE_ROLE, {"role": APP_ROLE})
