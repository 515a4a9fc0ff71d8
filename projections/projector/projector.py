"""The projector: folds the history into the tables for ever, one at a time, and stands by while another does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import structlog

from eventstore.box_office import BoxOffice
from eventstore.consumers.consumer import Consumer, Taken, TakeNext
from eventstore.errors import BatchFailed, SchemaOutdated
from eventstore.postgres.connections import BY_INDEX, WORKER_ROLE, Connection, connect
from eventstore.postgres.lease import Term
from projections import checkpoint
from projections.checkpoint import DEFINITIONS_VERSION, Checkpoint
from projections.projector.batch_transaction import Batches
from projections.schema import make_schema

FOLD_SETTINGS = BY_INDEX | {"role": WORKER_ROLE, "synchronous_commit": "off"}

# The lock of tables of our own version only: those of another are for that version's projectors.
TRY_LOCK = """
SELECT CASE WHEN definitions_version = %(definitions_version)s
            THEN pg_try_advisory_lock(%(lock_class)s, generation) END, generation, definitions_version
FROM checkpoint
"""
UNLOCK = "SELECT pg_advisory_unlock_all()"
OLDER_TABLES = "the tables are of an older version: run tixxety rebuild"
NEWER_TABLES = "the tables are of a newer version than this program, whose own workers fold them: start the newer one"
NEWER_ON_DISK = "The tables for reading are of a newer version than this program, and so is the program on disk."

log = structlog.get_logger()


class Projector(Consumer[Checkpoint]):
    """The consumer that folds: its checkpoint is in the tables' own schema and moves with them in one transaction.

    Tables of another version are left to that version's projectors, until a rebuild has swapped. It ends with
    `SchemaOutdated` when tables and program on disk are of a newer version: whoever started us may again.
    """

    name = "projector"

    def __init__(self, box_office: BoxOffice | str) -> None:
        super().__init__(box_office)
        self._program = make_schema.fingerprint()
        self._foreign_version: int | None = None

    async def ask(self, holder: Connection) -> Checkpoint | None:
        """Try to take the lock of these tables; returns where they stand."""
        ((is_ours, generation, version),) = await (await holder.execute(TRY_LOCK, our_lock(holder))).fetchall()
        self._look_at_version(version)
        if not is_ours:
            return None
        # Read on its own: what comes with the lock may be from before the last projector's end.
        start = await checkpoint.read(holder)
        if start.generation == generation:
            return start
        await holder.execute(UNLOCK)
        return None

    @asynccontextmanager
    async def open(self, term: Term[Checkpoint]) -> AsyncIterator[tuple[Connection, TakeNext]]:
        """Fold on from this checkpoint."""
        async with (
            await connect(term.box_office, **FOLD_SETTINGS) as connection,
            await connect(term.box_office, **FOLD_SETTINGS) as reader,
        ):
            batches = Batches(connection, term.taken, reader)

            async def fold_next(limit: int) -> Taken:
                if batches.reader is None:
                    raise psycopg.OperationalError("the connection that reads ahead is lost")
                return Taken(await batches.fold_next(limit), batches.position)

            yield connection, fold_next

    def tell_stopped(self, failure: BatchFailed) -> None:
        """The tables stand still, whoever folds them."""
        log.error("the projections stopped", error=str(failure))

    def _look_at_version(self, version: int) -> None:
        if version > DEFINITIONS_VERSION and make_schema.fingerprint() != self._program:
            raise SchemaOutdated(NEWER_ON_DISK)
        if version not in (DEFINITIONS_VERSION, self._foreign_version):
            log.warning(OLDER_TABLES if version < DEFINITIONS_VERSION else NEWER_TABLES, theirs=version)
        self._foreign_version = version


def our_lock(connection: Connection) -> dict[str, int]:
    """The parameters of `TRY_LOCK`."""
    return {"lock_class": connection.box_office.projector_class, "definitions_version": DEFINITIONS_VERSION}
