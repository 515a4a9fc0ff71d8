"""Rebuild: folds the whole history into fresh tables while the live ones serve, compares both, and swaps them."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from psycopg import sql

from eventstore import reading
from eventstore.box_office import MIGRATION_KEY, REBUILD_KEY, BoxOffice
from eventstore.consumers.consumer import BATCH_DOMAIN_EVENTS
from eventstore.errors import CheckpointMoved, SchemaOutdated
from eventstore.postgres.connections import Connection, connect, connect_as_owner
from projections import checkpoint
from projections.checkpoint import DEFINITIONS_VERSION
from projections.errors import HistoryCutShort, RebuildUnderWay
from projections.projector.batch_transaction import Batches
from projections.projector.projector import FOLD_SETTINGS, TRY_LOCK, our_lock
from projections.queries import reservations_queries
from projections.rebuilding.differences import Differences, differences
from projections.rebuilding.swap import DROP, LOCK_MIGRATION, Swap, standing_still, views_of_others
from projections.schema import make_schema
from projections.tables.all_tables import TABLES

# What is missing then is folded in moments while the live tables stand still.
NEARLY_THERE_DOMAIN_EVENTS = 1_000

OWNER_SETTINGS = {
    "idle_in_transaction_session_timeout": "10s",
    "maintenance_work_mem": "128MB",
    "client_connection_check_interval": "500ms",
}
READER_SETTINGS = {
    "default_transaction_isolation": "repeatable read",
    "idle_in_transaction_session_timeout": "0",
    "work_mem": "64MB",
    "jit": "off",
}
FRESH_SETTINGS = FOLD_SETTINGS | {"idle_in_transaction_session_timeout": "10s"}
LOCK_TRIES, LOCK_AGAIN_SECONDS = 20, 0.1
TRY_TO_LOCK = "SELECT pg_try_advisory_lock(%(lock_class)s, %(lock_key)s)"
NOTE = "SELECT obj_description(to_regnamespace(%(schema)s), 'pg_namespace')"
SET_NOTE = sql.SQL("COMMENT ON SCHEMA {} IS {}")
# Those that keep no promise can wait until the rows are there.
INDEXES = """
SELECT c.relname, pg_get_indexdef(indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
WHERE c.relnamespace = %(schema)s::regnamespace AND NOT indisunique ORDER BY c.relname
"""
DROP_INDEX = sql.SQL("DROP INDEX {}")
ANALYZE = sql.SQL("ANALYZE {}")

Step = Literal["fold", "index", "compare", "swap", "fold on"]


class Progress(NamedTuple):
    """What is being done; `position` of `goal` is folded. The goal moves while writes go on."""

    step: Step
    position: int
    goal: int


class Rebuilt(NamedTuple):
    """What a rebuild has done: it went on from `resumed_at`, and has swapped at `position`.

    `stale_views` are views of others that still read the tables put aside.
    """

    resumed_at: int
    position: int
    differences: Differences
    stale_views: list[str]


Tell = Callable[[Progress], None]
TellDifferences = Callable[[Differences], None]


async def rebuild(
    box_office: BoxOffice | str, tell: Tell, tell_differences: TellDifferences, patience_seconds: float
) -> Rebuilt:
    """Rebuild all tables; `tell` hears of every batch, and `tell_differences` of the comparison before the swap.

    Costs about 20 µs a domain event, and memory for three batches. Whatever ends it early leaves the live tables as
    they are, and the next rebuild goes on where this one stopped. Raises `RebuildUnderWay`, `SchemaOutdated`,
    `HistoryCutShort`, `FoldFailed`, and what `Swap.swap` raises.
    """
    office = BoxOffice.at(box_office)
    to_live, to_next = f"{office.projections}, {office.history}", f"{office.history}, {office.next_projections}"
    async with await connect_as_owner(office, **OWNER_SETTINGS, search_path=to_live) as owner:
        await _lock(owner)
        await _prepare(owner)
        async with (
            await connect(office, **FRESH_SETTINGS, search_path=to_next) as connection,
            await connect(office, **FRESH_SETTINGS, search_path=to_next) as reader,
        ):
            batches = Batches(connection, await checkpoint.read(connection), reader)
            fresh = Fresh(owner, connection, batches, tell)
            resumed_at = fresh.position
            await fresh.catch_up()
            await fresh.finish()
            tell_differences(found := await fresh.compare())
            await fresh.catch_up()
            fresh.begin("swap")
            before = await reservations_queries.readiness(owner)
            async with await connect_as_owner(office) as watcher:
                await Swap(owner, watcher, fresh.reach).swap(patience_seconds)
        if not before.projector_holds_lock or before.definitions_version != DEFINITIONS_VERSION:
            await fold_on(office, tell)
        return Rebuilt(resumed_at, fresh.position, found, await views_of_others(owner))


async def _lock(owner: Connection) -> None:
    """Be the only rebuild, until the connection ends. The server needs a moment to see that one was killed."""
    for _ in range(LOCK_TRIES):
        if await _asks(owner, TRY_TO_LOCK, **owner.box_office.lock(REBUILD_KEY)):
            return
        await asyncio.sleep(LOCK_AGAIN_SECONDS)
    raise RebuildUnderWay


async def _prepare(owner: Connection) -> None:
    """Make the fresh tables, unless those of a rebuild by this very code are there that was interrupted."""
    office = owner.box_office
    async with owner.transaction():
        await owner.execute(LOCK_MIGRATION, office.lock(MIGRATION_KEY))
        live = await checkpoint.read(owner)
        if live.definitions_version > DEFINITIONS_VERSION:
            raise SchemaOutdated(
                f"The tables for reading were made by version {live.definitions_version}; "
                f"this program knows {DEFINITIONS_VERSION}."
            )
        fingerprint = make_schema.fingerprint()
        note = await _note(owner)
        if note.get("fingerprint") == fingerprint:
            await make_schema.enter(owner, office.next_projections)
            if (await checkpoint.read(owner)).position <= live.position:
                return
        await owner.execute(DROP.format(sql.Identifier(office.next_projections)))
        await make_schema.make(owner, office.next_projections)
        await make_schema.copy_rights(owner, office.projections, office.next_projections)
        await make_schema.grant(owner, office.next_projections)
        indexes = await (await owner.execute(INDEXES, {"schema": office.next_projections})).fetchall()
        for name, _ in indexes:
            await owner.execute(DROP_INDEX.format(sql.Identifier(office.next_projections, name)))
        await _set_note(owner, {"fingerprint": fingerprint, "indexes": [definition for _, definition in indexes]})


class Fresh:
    """The fresh tables, on their way to where the live ones are; never beyond, so that both can be compared."""

    def __init__(self, owner: Connection, connection: Connection, batches: Batches, tell: Tell) -> None:
        self._owner = owner
        self._connection = connection
        self._batches = batches
        self._tell = tell
        self._step: Step = "fold"

    @property
    def position(self) -> int:
        """How far they are folded."""
        return self._batches.position

    def begin(self, step: Step) -> None:
        """The next step; what has to be folded meanwhile is part of it."""
        self._step = step
        self._tell(Progress(step, self.position, self.position))

    async def reach(self, position: int) -> None:
        """Fold up to this position of the live tables, which is the end of a command."""
        while (missing := position - self.position) > 0:
            try:
                if not await self._batches.fold_next(min(missing, BATCH_DOMAIN_EVENTS)):
                    raise HistoryCutShort(self.position, position)
            except CheckpointMoved:
                # The last batch of a rebuild that was killed may come to its end after it.
                self._batches = Batches(self._connection, await checkpoint.read(self._connection))
            self._tell(Progress(self._step, self.position, position))

    async def catch_up(self) -> None:
        """Fold until hardly more than the latest writes is missing."""
        missing = NEARLY_THERE_DOMAIN_EVENTS
        while missing >= NEARLY_THERE_DOMAIN_EVENTS:
            goal = (await checkpoint.read(self._owner)).position
            missing = goal - self.position
            await self.reach(goal)

    async def finish(self) -> None:
        """Make the indexes that folding went without, and let the planner know the tables."""
        note = await _note(self._owner)
        if not note["indexes"]:
            return
        self.begin("index")
        async with self._owner.transaction():
            for definition in note["indexes"]:
                await self._owner.execute(definition)
            for table in TABLES:
                name = sql.Identifier(self._owner.box_office.next_projections, table.name)
                await self._owner.execute(ANALYZE.format(name))
            await _set_note(self._owner, note | {"indexes": []})

    async def compare(self) -> Differences:
        """Compare with the live tables, in one snapshot in which both are at one position."""
        self.begin("compare")
        office = self._owner.box_office
        async with await connect_as_owner(office, **READER_SETTINGS) as reader, reader.transaction():
            async with standing_still(self._owner) as position:
                await self.reach(position)
                live = await checkpoint.read(reader)
            await make_schema.enter(reader, office.next_projections)
            if live.position != (await checkpoint.read(reader)).position:
                raise CheckpointMoved
            return await differences(reader, office.projections, office.next_projections)


async def fold_on(box_office: BoxOffice, tell: Tell) -> None:
    """Fold the live tables up to the head of the history, unless a projector is there already to do that."""
    async with await connect(box_office, **FOLD_SETTINGS) as connection:
        row = await (await connection.execute(TRY_LOCK, our_lock(connection))).fetchone()
        if not row or not row[0]:
            return
        batches, goal = Batches(connection, await checkpoint.read(connection)), await reading.head(connection)
        try:
            while batches.position < goal and await batches.fold_next():
                tell(Progress("fold on", batches.position, goal))
        except CheckpointMoved:
            return


async def _asks(connection: Connection, question: Any, **values: object) -> bool:
    row = await (await connection.execute(question, values)).fetchone()
    return bool(row and row[0])


async def _note(owner: Connection) -> dict[str, Any]:
    """What a rebuild has written down about its tables: the code's fingerprint, and the indexes still to be made."""
    row = await (await owner.execute(NOTE, {"schema": owner.box_office.next_projections})).fetchone()
    try:
        note = json.loads(row[0]) if row and row[0] else {}
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


async def _set_note(owner: Connection, note: dict[str, Any]) -> None:
    name, text = sql.Identifier(owner.box_office.next_projections), sql.Literal(json.dumps(note))
    await owner.execute(SET_NOTE.format(name, text))
