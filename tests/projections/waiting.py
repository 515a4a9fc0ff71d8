"""Waiting for what has to come, with a bound; and the projector's lock as the database sees it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from eventstore.postgres.connections import Connection, connect
from eventstore.reading import head
from projections import checkpoint
from projections.projector.projector import Projector

SECONDS_MAX = 30.0
LOOK_AGAIN_SECONDS = 0.02

LOCK_HOLDERS = """
SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND granted AND classid = %s::oid AND datname = current_database()
"""
END_SESSION = "SELECT pg_terminate_backend(%s)"
OTHER_SESSIONS = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until the condition holds; fails after half a minute."""
    deadline = asyncio.get_running_loop().time() + SECONDS_MAX
    while not await condition():
        if asyncio.get_running_loop().time() > deadline:
            pytest.fail(f"{condition} did not come true in {SECONDS_MAX} s")
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def until_folded(connection: Connection) -> None:
    """Wait until the tables show the whole history."""

    async def folded() -> bool:
        return (await checkpoint.read(connection)).position == await head(connection)

    await until(folded)


async def lock_holders(connection: Connection) -> list[int]:
    """The sessions that hold a projector's lock in this database."""
    rows = await (await connection.execute(LOCK_HOLDERS, (connection.box_office.projector_class,))).fetchall()
    return [row[0] for row in rows]


async def until_somebody_leads(connection: Connection, but: int | None = None) -> int:
    """Wait until a session (other than `but`) holds the projector's lock; returns it."""

    leaders: list[int] = []

    async def leads() -> bool:
        leaders.extend(pid for pid in await lock_holders(connection) if pid != but)
        return bool(leaders)

    await until(leads)
    return leaders[0]


async def end_other_sessions(database_url: str) -> None:
    """End every other session of the database, as its crash would."""
    async with await connect(database_url) as connection:
        await connection.execute("RESET ROLE")
        for (pid,) in await (await connection.execute(OTHER_SESSIONS)).fetchall():
            await connection.execute(END_SESSION, (pid,))


@asynccontextmanager
async def running(projector: Projector) -> AsyncIterator["asyncio.Task[None]"]:
    """The projector at work, cancelled at the end of the block."""
    task = asyncio.create_task(projector.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
