"""Puts rebuilt tables in the place of the live ones: no query fails, and no reader is shown a moment before its last.

Names are looked up anew after a rename, also by prepared statements and in transactions that are older than it. So it
comes at a moment when both sets of tables are equal, when no transaction is left that could see the fresh ones as they
were before that, and when none is under way that has read the live ones and could go on in others.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from psycopg import sql
from psycopg.errors import LockNotAvailable
from psycopg.rows import args_row

from eventstore.box_office import MIGRATION_KEY
from eventstore.postgres.connections import Connection
from projections import checkpoint
from projections.errors import OldTablesHeld, OldTablesInUse, SwapHeldUp
from projections.schema import make_schema

# How long folding may pause for a swap; then it goes on, and the swap is tried again.
STANDSTILL_SECONDS = 0.5
# Shorter than PostgreSQL waits before it looks for a deadlock: whoever waits for us meanwhile is served after it.
READERS_LOCK_TIMEOUT = "100ms"
LOOK_AGAIN_SECONDS = 0.02
DROP_PATIENCE_SECONDS, SHORTEST_WAIT_SECONDS = 5.0, 0.1

LOCK_MIGRATION = "SELECT pg_advisory_xact_lock(%(lock_class)s, %(lock_key)s)"
STAND_STILL = "LOCK TABLE checkpoint IN SHARE ROW EXCLUSIVE MODE"
TABLES_OF = (
    "SELECT relname FROM pg_class WHERE relnamespace = %(schema)s::regnamespace AND relkind = 'r' ORDER BY relname"
)
# Readers and the projector are not in its way, but autovacuum is, which yields to it.
KEEP_VACUUM_AWAY = sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE")
KEEP_ALL_AWAY = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE")
WAIT_SHORTLY = "SELECT set_config('lock_timeout', %(timeout)s, true)"
# Sessions that have a snapshot, or have read one of the tables in a transaction that goes on, and do not wait for us.
# Whatever a login may not see of another's session is null; autovacuum has no login.
READERS = """
SELECT v.virtualxid, a.pid, a.usename::text AS login, coalesce(a.application_name, '') AS application,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds
FROM pg_stat_activity a
JOIN pg_locks v ON v.pid = a.pid AND v.locktype = 'virtualxid' AND v.virtualxid = v.virtualtransaction
WHERE a.datname = current_database() AND a.usesysid IS NOT NULL AND a.pid <> ALL(%(ours)s::int[])
  AND (%(among)s::text[] IS NULL OR v.virtualxid = ANY(%(among)s::text[]))
  AND (a.backend_xmin IS NOT NULL OR EXISTS (
      SELECT FROM pg_locks r JOIN pg_class t ON t.oid = r.relation
      WHERE r.pid = a.pid AND r.granted AND r.locktype = 'relation' AND t.relnamespace = %(live)s::regnamespace))
  AND NOT %(swapping)s::int = ANY(pg_blocking_pids(a.pid))
ORDER BY a.xact_start
"""
# Whose transactions have read a table of a schema.
HOLDERS = """
SELECT DISTINCT ON (a.pid) r.virtualtransaction AS virtualxid, a.pid, a.usename::text AS login,
       coalesce(a.application_name, '') AS application,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds
FROM pg_stat_activity a JOIN pg_locks r ON r.pid = a.pid AND r.locktype = 'relation' AND r.granted
JOIN pg_class t ON t.oid = r.relation
WHERE t.relnamespace = to_regnamespace(%(schema)s) AND a.datname = current_database() AND a.pid <> pg_backend_pid()
ORDER BY a.pid
"""
RENAME = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
COMMENT = "SELECT obj_description(%(schema)s::regnamespace, 'pg_namespace')"
SET_COMMENT = sql.SQL("COMMENT ON SCHEMA {} IS {}")
NOTIFY = "SELECT pg_notify(%(channel)s, '') WHERE pg_notification_queue_usage() < 0.5"
EXISTS = "SELECT to_regnamespace(%(schema)s) IS NOT NULL"
DROP = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
VIEWS_OF_OTHERS = """
SELECT DISTINCT v.oid::regclass::text FROM pg_depend d
JOIN pg_class t ON t.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_class v ON v.oid = r.ev_class
WHERE t.relnamespace = to_regnamespace(%(schema)s) AND v.relnamespace <> t.relnamespace ORDER BY 1
"""


class Reader(NamedTuple):
    """A session that reads, and since when its transaction lasts."""

    virtualxid: str
    pid: int
    login: str | None
    application: str
    seconds: float | None

    def __str__(self) -> str:
        application = f", {self.application}" if self.application else ""
        since = f", for {self.seconds:.0f} s now" if self.seconds is not None else ""
        return f"process {self.pid} (login {self.login}{application}{since})"


class HeldUp(Exception):
    """Not at this moment: these were reading."""

    def __init__(self, readers: list[Reader]) -> None:
        self.readers = readers


@asynccontextmanager
async def standing_still(owner: Connection) -> AsyncIterator[int]:
    """In the block nobody folds the live tables: gives their position. They are read as ever."""
    async with owner.transaction():
        await owner.execute(STAND_STILL)
        yield (await checkpoint.read(owner)).position


class Swap:
    """One swap. `follow(position)` folds the fresh tables up to where the live ones are.

    `watcher` is in autocommit: within a transaction the list of sessions never changes.
    """

    def __init__(self, owner: Connection, watcher: Connection, follow: Callable[[int], Awaitable[None]]) -> None:
        self._owner = owner
        self._watcher = watcher
        self._follow = follow

    async def swap(self, patience_seconds: float) -> None:
        """Raises `SwapHeldUp`, naming who reads on and on, and what `drop_old` raises; the live tables then stay."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_seconds
        await drop_old(self._owner, patience_seconds)
        while True:
            try:
                await self._until_gone(deadline, stands_still=False)
                await self._try(loop.time() + STANDSTILL_SECONDS)
            except HeldUp as held_up:
                if loop.time() > deadline:
                    raise _named(held_up.readers) from None
            except LockNotAvailable:
                if loop.time() > deadline:
                    raise _named(await self._readers()) from None
            else:
                return

    async def _try(self, deadline: float) -> None:
        owner, live = self._owner, self._owner.box_office.projections
        async with owner.transaction():
            await owner.execute(LOCK_MIGRATION, owner.box_office.lock(MIGRATION_KEY))
            names = await (await owner.execute(TABLES_OF, {"schema": live})).fetchall()
            tables = sql.SQL(", ").join(sql.Identifier(live, name) for (name,) in names)
            await owner.execute(KEEP_VACUUM_AWAY.format(tables))
            async with standing_still(owner) as position:
                await self._follow(position)
                await self._until_gone(deadline, stands_still=True)
                await owner.execute(WAIT_SHORTLY, {"timeout": READERS_LOCK_TIMEOUT})
                await owner.execute(KEEP_ALL_AWAY.format(tables))
                await _rename(owner)

    async def _until_gone(self, deadline: float, *, stands_still: bool) -> None:
        """Wait for all who read now; raises HeldUp. The fresh tables follow meanwhile, unless all stand still."""
        readers = await self._readers()
        while readers:
            if asyncio.get_running_loop().time() > deadline:
                raise HeldUp(readers)
            if not stands_still:
                await self._follow((await checkpoint.read(self._owner)).position)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            readers = await self._readers([reader.virtualxid for reader in readers])

    async def _readers(self, among: list[str] | None = None) -> list[Reader]:
        swapping = self._owner.info.backend_pid
        ours, live = [swapping, self._watcher.info.backend_pid], self._owner.box_office.projections
        values = {"among": among, "live": live, "swapping": swapping, "ours": ours}
        async with self._watcher.cursor(row_factory=args_row(Reader)) as cursor:
            await cursor.execute(READERS, values)
            return await cursor.fetchall()


async def drop_old(owner: Connection, patience_seconds: float = DROP_PATIENCE_SECONDS) -> bool:
    """Drop what the last swap has put aside; whether there was anything.

    Raises `OldTablesInUse`, and `OldTablesHeld` when somebody still reads them after `patience_seconds`.
    """
    if views := await views_of_others(owner):
        raise OldTablesInUse(views)
    old = owner.box_office.old_projections
    exists = await (await owner.execute(EXISTS, {"schema": old})).fetchone()
    try:
        async with owner.transaction():
            await owner.execute(WAIT_SHORTLY, {"timeout": f"{max(patience_seconds, SHORTEST_WAIT_SECONDS)}s"})
            await owner.execute(DROP.format(sql.Identifier(old)))
    except LockNotAvailable:
        async with owner.cursor(row_factory=args_row(Reader)) as cursor:
            await cursor.execute(HOLDERS, {"schema": old})
            raise OldTablesHeld([str(reader) for reader in await cursor.fetchall()]) from None
    return bool(exists and exists[0])


async def views_of_others(owner: Connection) -> list[str]:
    """Views elsewhere that read the tables put aside: a view keeps to the tables that it was made on."""
    rows = await (await owner.execute(VIEWS_OF_OTHERS, {"schema": owner.box_office.old_projections})).fetchall()
    return [name for (name,) in rows]


async def _rename(owner: Connection) -> None:
    office = owner.box_office
    names = (office.projections, office.next_projections, office.old_projections)
    live, fresh, old = map(sql.Identifier, names)
    await make_schema.copy_rights(owner, office.projections, office.next_projections)
    comment = await (await owner.execute(COMMENT, {"schema": office.projections})).fetchone()
    await owner.execute(SET_COMMENT.format(fresh, sql.Literal(comment[0] if comment else None)))
    await owner.execute(RENAME.format(live, old))
    await owner.execute(RENAME.format(fresh, live))
    await owner.execute(NOTIFY, {"channel": office.projections})


def _named(readers: list[Reader]) -> SwapHeldUp:
    if not readers:
        return SwapHeldUp()
    return SwapHeldUp(
        f"The swap is held up by {readers[0]}: end what it does, or let it end, and run tixxety rebuild again. "
        "What is rebuilt is kept, and the tables serve as before."
    )
