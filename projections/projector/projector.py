"""The runner: folds the history into the tables for ever, one at a time, and stands by while another does."""

import asyncio

import psycopg
import structlog

from eventstore.box_office import BoxOffice
from eventstore.errors import SchemaOutdated
from eventstore.postgres.connections import BY_INDEX, WORKER_ROLE, Connection, connect
from eventstore.postgres.lease import Lease, Term
from projections import checkpoint
from projections.checkpoint import DEFINITIONS_VERSION, STOPPED, Checkpoint
from projections.errors import CheckpointMoved, FoldFailed
from projections.projector.batches import BATCH_DOMAIN_EVENTS, Batches
from projections.schema import make_schema

# What a runner that is frozen has written in part does not outlive its lock.
FOLD_SETTINGS = BY_INDEX | {
    "role": WORKER_ROLE,
    "synchronous_commit": "off",
    "idle_in_transaction_session_timeout": "1s",
}
# The safety net beneath NOTIFY.
POLL_SECONDS = 0.5
# So that a stream of small appends is not folded one by one: a batch starts this long after the one before it.
BATCH_INTERVAL_SECONDS = 0.02
# A domain event that can't be folded is tried again after this: the history or the tables may have been mended.
MENDED_SECONDS = 10.0

# The lock of tables of our own version only: those of another are for that version's runners.
TRY_LOCK = """
SELECT CASE WHEN definitions_version = %(definitions_version)s
            THEN pg_try_advisory_lock(%(lock_class)s, generation) END, generation, definitions_version
FROM checkpoint
"""
UNLOCK = "SELECT pg_advisory_unlock_all()"
SAY = "SELECT set_config('application_name', %(text)s, false)"
OLDER_TABLES = "the tables are of an older version: run tixxety rebuild"
NEWER_TABLES = "the tables are of a newer version than this program, whose own workers fold them: start the newer one"
NEWER_ON_DISK = "The tables for reading are of a newer version than this program, and so is the program on disk."

log = structlog.get_logger()


class Runner:
    """Any number may run at once: one folds, the others stand by and one of them takes over within 3 seconds.

    Reading and writing happen on other connections than the one that holds the lease, and every write checks that the
    checkpoint is where this runner left it.
    """

    def __init__(self, box_office: BoxOffice | str) -> None:
        self._lease = Lease(box_office, "projector", self._ask, self._fold)
        self._program = make_schema.fingerprint()
        self._foreign_version: int | None = None
        self._stopped_before: int | None = None

    async def run(self) -> None:
        """Fold until cancelled, whatever becomes of the database. Whatever ends it releases the lock.

        Tables of another version are left to that version's runners, until a rebuild has swapped. A domain event that
        can't be folded stops the folding before it; the log names it, and so does the lock's session to readiness.
        Raises `SchemaOutdated` when tables and program on disk are of a newer version: whoever started us may again.
        """
        await self._lease.keep()

    async def _ask(self, holder: Connection) -> Checkpoint | None:
        """Try to take the lock of these tables; returns where they stand."""
        ((is_ours, generation, version),) = await (await holder.execute(TRY_LOCK, our_lock(holder))).fetchall()
        self._look_at_version(version)
        if not is_ours:
            return None
        # Read on its own: what comes with the lock may be from before the last runner's end.
        start = await checkpoint.read(holder)
        if start.generation == generation:
            return start
        await holder.execute(UNLOCK)
        return None

    def _look_at_version(self, version: int) -> None:
        if version > DEFINITIONS_VERSION and make_schema.fingerprint() != self._program:
            raise SchemaOutdated(NEWER_ON_DISK)
        if version not in (DEFINITIONS_VERSION, self._foreign_version):
            log.warning(OLDER_TABLES if version < DEFINITIONS_VERSION else NEWER_TABLES, theirs=version)
        self._foreign_version = version

    async def _fold(self, term: Term[Checkpoint]) -> None:
        try:
            async with (
                await connect(term.box_office, **FOLD_SETTINGS) as connection,
                await connect(term.box_office, **FOLD_SETTINGS) as reader,
            ):
                await connection.execute(f"LISTEN {connection.box_office.channel}")
                await self._fold_for_ever(Batches(connection, term.taken, reader), connection, term)
        except CheckpointMoved:
            log.warning("another runner has written: starting over from its checkpoint")
        except FoldFailed as failure:
            await self._stand_still(failure, term)

    async def _fold_for_ever(self, batches: Batches, connection: Connection, term: Term[Checkpoint]) -> None:
        """Fold what there is, then whatever comes. Raises `FoldFailed`, `CheckpointMoved`, `psycopg.Error`.

        When a batch fails, its commands are folded one by one up to the one that can't be.
        """
        limit, failed_position, told = BATCH_DOMAIN_EVENTS, 0, False
        while True:
            next_batch_seconds = asyncio.get_running_loop().time() + BATCH_INTERVAL_SECONDS
            try:
                folded = await batches.fold_next(limit)
            except FoldFailed as failure:
                if limit == 1:
                    raise
                limit, failed_position = 1, failure.position
                continue
            term.goes_on()
            if not told:
                log.info("folding", position=batches.position)
            told = True
            if batches.position >= failed_position:
                limit = BATCH_DOMAIN_EVENTS
            if self._stopped_before is not None and batches.position >= self._stopped_before:
                self._stopped_before = None
            if batches.reader is None:
                raise psycopg.OperationalError("the connection that reads ahead is lost")
            caught_up = folded < limit
            await _hear(connection, POLL_SECONDS if caught_up and not folded else 0)
            if caught_up:
                await asyncio.sleep(next_batch_seconds - asyncio.get_running_loop().time())

    async def _stand_still(self, failure: FoldFailed, term: Term[Checkpoint]) -> None:
        """Keep the lock for a while, so that readiness can tell what is wrong; the tables may then be tried again."""
        if failure.position != self._stopped_before:
            log.error("the projections stopped", error=str(failure))
        self._stopped_before = failure.position
        await term.holder.execute(SAY, {"text": f"{STOPPED}{failure.position}"})
        await asyncio.sleep(MENDED_SECONDS)


def our_lock(connection: Connection) -> dict[str, int]:
    """The parameters of `TRY_LOCK`."""
    return {"lock_class": connection.box_office.runner_class, "definitions_version": DEFINITIONS_VERSION}


async def _hear(connection: Connection, patience_seconds: float) -> None:
    """Wait for an append; what has been heard already counts and is cleared away."""
    async for _ in connection.notifies(timeout=patience_seconds, stop_after=1):
        pass
