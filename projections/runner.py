"""The runner: folds the history into the tables for ever, one at a time, and stands by while another does."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from eventstore import history
from eventstore.connections import BY_INDEX, CONNECTION_LOST, WORKER_ROLE, Connection, connect
from eventstore.failures import SchemaOutdated
from eventstore.locks import RUNNER_CLASS
from projections import checkpoint
from projections.batches import BATCH_DOMAIN_EVENTS, Batches
from projections.checkpoint import DEFINITIONS_VERSION, Checkpoint
from projections.failures import CheckpointMoved, FoldFailed

# A runner that is frozen loses its lock, and whatever it has written in part, after HOLDER_TIMEOUT; a standby asks for
# the lock every STANDBY_SECONDS.
HEARTBEAT_SECONDS = 0.25
HOLDER_TIMEOUT = "1s"
STANDBY_SECONDS = 0.2
FOLD_SETTINGS = BY_INDEX | {
    "role": WORKER_ROLE,
    "synchronous_commit": "off",
    "idle_in_transaction_session_timeout": HOLDER_TIMEOUT,
}
# The safety net beneath NOTIFY.
POLL_SECONDS = 0.5
# So that a stream of small appends is not folded one by one: a batch starts this long after the one before it.
BATCH_INTERVAL_SECONDS = 0.02
FIRST_BACK_OFF_SECONDS, LAST_BACK_OFF_SECONDS = 0.1, 1.0

TRY_LOCK = "SELECT pg_try_advisory_lock(%(lock_class)s, generation), generation FROM checkpoint"
UNLOCK = "SELECT pg_advisory_unlock_all()"
HEARTBEAT = "SELECT"
NEWER_DEFINITIONS = "The tables for reading are of a newer version than this program: start the newer one."

log = structlog.get_logger()


class Runner:
    """Any number may run at once: one folds, the others stand by and one of them takes over within 2 seconds.

    The lock is held by a session that sends and receives next to nothing, so that the server can end it whenever its
    client is silent; reading and writing happen on another, where every write checks that the checkpoint is where
    this runner left it.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._back_off_seconds = FIRST_BACK_OFF_SECONDS

    async def run(self) -> None:
        """Fold until cancelled. A lost connection is made again, with back-off.

        Tables of an older version are left to that version's runners, until a rebuild has swapped. Raises `FoldFailed`
        when a domain event can't be folded, and `SchemaOutdated` when the tables are those of a newer version of this
        program. Whatever ends it releases the lock.
        """
        while True:
            try:
                await self._lead()
            except CheckpointMoved:
                log.warning("another runner has written: starting over from its checkpoint")
            except CONNECTION_LOST as error:
                log.warning("the runner lost its connection", error=repr(error))
                await asyncio.sleep(self._back_off_seconds)
                self._back_off_seconds = min(2 * self._back_off_seconds, LAST_BACK_OFF_SECONDS)

    async def _lead(self) -> None:
        async with await connect(self._database_url, idle_session_timeout=HOLDER_TIMEOUT) as holder:
            await _until_rebuilt(holder)
            start = await _lock(holder)
            if start.definitions_version != DEFINITIONS_VERSION:
                raise SchemaOutdated(NEWER_DEFINITIONS)
            await _first_to_end(_keep_alive(holder), self._fold(start))

    async def _fold(self, start: Checkpoint) -> None:
        async with (
            await connect(self._database_url, **FOLD_SETTINGS) as connection,
            await connect(self._database_url, **FOLD_SETTINGS) as reader,
        ):
            await connection.execute(f"LISTEN {history.CHANNEL}")
            log.info("folding", position=start.position)
            self._back_off_seconds = FIRST_BACK_OFF_SECONDS
            await fold_for_ever(connection, reader, start)


async def fold_for_ever(connection: Connection, reader: Connection, start: Checkpoint) -> None:
    """Fold what there is, then whatever comes. Raises `FoldFailed`, `CheckpointMoved`, `psycopg.Error`.

    When a batch fails, its commands are folded one by one up to the one that can't be.
    """
    batches = Batches(connection, start, reader)
    limit, failed_position = BATCH_DOMAIN_EVENTS, 0
    while True:
        next_batch_seconds = asyncio.get_running_loop().time() + BATCH_INTERVAL_SECONDS
        try:
            folded = await batches.fold_next(limit)
        except FoldFailed as failure:
            if limit == 1:
                raise
            limit, failed_position = 1, failure.position
            continue
        if batches.position >= failed_position:
            limit = BATCH_DOMAIN_EVENTS
        caught_up = folded < limit
        await _hear(connection, POLL_SECONDS if caught_up and not folded else 0)
        if caught_up:
            await asyncio.sleep(next_batch_seconds - asyncio.get_running_loop().time())


async def _hear(connection: Connection, patience_seconds: float) -> None:
    """Wait for an append; what has been heard already counts and is cleared away."""
    async for _ in connection.notifies(timeout=patience_seconds, stop_after=1):
        pass


async def _until_rebuilt(holder: Connection) -> None:
    """Wait while the tables are those of an older version, without asking for the lock: its runners need it."""
    told = False
    while (version := (await checkpoint.read(holder)).definitions_version) < DEFINITIONS_VERSION:
        if not told:
            log.warning("the tables are of an older version: run tixxety rebuild", theirs=version)
        told = True
        await asyncio.sleep(STANDBY_SECONDS)


async def _lock(holder: Connection) -> Checkpoint:
    """Wait until no other runner folds these tables; returns where they stand."""
    while True:
        ((is_ours, generation),) = await (await holder.execute(TRY_LOCK, {"lock_class": RUNNER_CLASS})).fetchall()
        if is_ours:
            # Read on its own: what comes with the lock may be from before the last runner's end.
            start = await checkpoint.read(holder)
            if start.generation == generation:
                return start
            await holder.execute(UNLOCK)
        await asyncio.sleep(STANDBY_SECONDS)


async def _keep_alive(holder: Connection) -> None:
    """Speak often enough on the session that holds the lock; raises `psycopg.OperationalError` once it is lost."""
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        await holder.execute(HEARTBEAT)


async def _first_to_end(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run together until one ends, and end as it did (of several, as the first in order); the others are cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
