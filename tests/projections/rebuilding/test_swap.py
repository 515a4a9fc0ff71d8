"""The swap: no query fails, none shows an older moment than the one before it, and who holds it up is named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventstore.errors import CheckpointMoved
from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from projections import checkpoint
from projections.errors import SwapHeldUp
from projections.projector.batch_transaction import Batches
from projections.projector.checkpoint_watcher import CheckpointWatcher
from projections.projector.projector import Projector
from projections.rebuilding.rebuild import FRESH_SETTINGS
from projections.rebuilding.swap import Swap
from tests.projections.histories import BoxOffice, append
from tests.projections.independent_fold import expected_of, shown_by
from tests.projections.rebuilding.watched_rebuild import Watched, fold_all, owner, stopped_before
from tests.projections.waiting import running, until_folded, until_somebody_leads

POSITIONS = "SELECT c.position, (SELECT max(position) FROM audit_trail) FROM checkpoint c"
LAST = "SELECT coalesce(max(position), 0) FROM audit_trail"


@asynccontextmanager
async def reading(database_url: str, isolation: str) -> AsyncIterator[Connection]:
    """A transaction of somebody who reads, open for the block."""
    async with await connect(database_url, idle_in_transaction_session_timeout="0") as connection:
        await connection.execute(f"BEGIN ISOLATION LEVEL {isolation}")  # type: ignore[call-overload]
        yield connection
        await connection.execute("COMMIT")


@pytest.mark.parametrize(
    ("isolation", "query"),
    [("REPEATABLE READ", "SELECT count(*) FROM accounts"), ("READ COMMITTED", "SELECT count(*) FROM events")],
)
async def test_a_reader_who_could_see_an_older_moment_holds_up_the_swap_and_is_named(
    database_url: str, isolation: str, query: str
) -> None:
    commands = BoxOffice(1).commands(60)
    async with owner(database_url) as connection, running(Projector(database_url)):
        await append(connection, commands[:40])
        await until_folded(connection)
        generation = (await checkpoint.read(connection)).generation
        async with reading(database_url, isolation) as reader:
            await reader.execute(query)  # type: ignore[call-overload]
            with pytest.raises(SwapHeldUp, match=f"held up by process {reader.info.backend_pid} "):
                await Watched().rebuild(database_url, patience_seconds=0.3)
            assert (await checkpoint.read(connection)).generation == generation
            await append(connection, commands[40:])
            await until_folded(connection)
        rebuilt = await Watched().rebuild(database_url)
        assert 0 < rebuilt.resumed_at < rebuilt.position
        assert (await checkpoint.read(connection)).generation != generation
        assert await shown_by(connection) == expected_of(commands)


async def test_the_swap_comes_as_soon_as_the_reader_has_gone(database_url: str) -> None:
    async with owner(database_url) as connection, reading(database_url, "REPEATABLE READ") as reader:
        last = await append(connection, BoxOffice(1).commands(40))
        await fold_all(database_url)
        await reader.execute("SELECT count(*) FROM reservations")
        waits = asyncio.Event()
        watched = Watched(lambda progress: waits.set() if progress.step == "swap" else None)
        rebuilding = asyncio.create_task(watched.rebuild(database_url))
        await waits.wait()
        for _ in range(10):
            assert await numbers(reader, POSITIONS) == [last, last]
            assert not rebuilding.done()
        await reader.execute("COMMIT")
        assert (await rebuilding).position == (await checkpoint.read(connection)).position


async def test_a_prepared_statement_reads_the_new_tables(database_url: str) -> None:
    office = BoxOffice(2)
    async with (
        owner(database_url) as connection,
        await connect(database_url, plan_cache_mode="force_generic_plan") as generic,
        await connect(database_url, plan_cache_mode="auto") as auto,
    ):
        generic.prepare_threshold = auto.prepare_threshold = 0
        for _ in range(2):
            last = await append(connection, office.commands(10))
            await fold_all(database_url)
            for reader in (generic, auto) * 7:
                assert await numbers(reader, POSITIONS) == [last, last]
            await Watched().rebuild(database_url)
            for reader in (generic, auto):
                assert await numbers(reader, POSITIONS) == [last, last]


async def test_a_projector_goes_on_in_the_new_tables(database_url: str) -> None:
    commands = BoxOffice(3).commands(60)
    async with owner(database_url) as connection, running(Projector(database_url)) as projector:
        for start in range(0, 60, 30):
            await append(connection, commands[start : start + 30])
            await until_folded(connection)
            await Watched().rebuild(database_url)
            assert not projector.done()
        assert await shown_by(connection) == expected_of(commands)


async def test_a_batch_that_was_begun_before_the_swap_changes_nothing_after_it(database_url: str) -> None:
    commands = BoxOffice(3).commands(60)
    async with owner(database_url) as connection, await connect(database_url, role=WORKER_ROLE) as projectors:
        await append(connection, commands)
        batches = Batches(projectors, await checkpoint.read(projectors))
        await batches.fold_next(10)
        await Watched().rebuild(database_url)
        with pytest.raises(CheckpointMoved):
            await batches.fold_next(10)
        assert await shown_by(connection) == expected_of(commands)


async def test_an_older_versions_tables_are_waited_for_and_then_folded(database_url: str) -> None:
    commands = BoxOffice(4).commands(60)
    async with owner(database_url) as connection:
        await append(connection, commands[:30])
        await fold_all(database_url)
        await connection.execute("DROP TABLE audit_trail CASCADE")
        await connection.execute("UPDATE checkpoint SET definitions_version = 1")
        async with running(Projector(database_url)) as projector:
            # The older version's own projector still gets the lock.
            await connection.execute(
                "SELECT pg_advisory_lock(%s, generation) FROM checkpoint", (connection.box_office.projector_class,)
            )
            await append(connection, commands[30:])
            await Watched().rebuild(database_url)
            await until_folded(connection)
            assert not projector.done()
        assert await shown_by(connection) == expected_of(commands)


async def test_while_writes_go_on_no_query_fails_and_none_goes_back_in_time(database_url: str) -> None:
    commands = BoxOffice(5).commands(300)
    done = asyncio.Event()
    async with (
        await connect(database_url, role=WORKER_ROLE) as connection,
        running(Projector(database_url)),
        CheckpointWatcher(database_url) as watcher,
    ):
        await until_somebody_leads(connection)
        readers = [
            asyncio.create_task(read_on(database_url, plan, done, watcher)) for plan in ("auto", "force_generic_plan")
        ]
        readers.append(asyncio.create_task(read_in_transactions(database_url, done)))
        writing = asyncio.create_task(write_on(database_url, commands))
        swapped = [await Watched().rebuild(database_url) for _ in range(2)]
        await writing
        await until_folded(connection)
        done.set()
        assert min(await asyncio.gather(*readers)) > 10
        assert [found.differences.shown for found in swapped] == [[], []]
        assert await shown_by(connection) == expected_of(commands)


async def write_on(database_url: str, commands: list) -> None:
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        for start in range(0, len(commands), 4):
            await append(connection, commands[start : start + 4])
            await asyncio.sleep(0.005)


async def read_on(database_url: str, plan: str, done: asyncio.Event, watcher: CheckpointWatcher) -> int:
    """Single statements: each as new as the one before, as new as what was followed, and of one moment."""
    seen, queries = 0, 0
    async with await connect(database_url, plan_cache_mode=plan) as connection:
        while not done.is_set():
            followed = watcher.position
            position, last = await numbers(connection, POSITIONS)
            assert position == (last or 0) >= max(seen, followed)
            seen, queries = position, queries + 1
            await asyncio.sleep(0.002)
    return queries


async def read_in_transactions(database_url: str, done: asyncio.Event) -> int:
    """Transactions of one snapshot: both tables of one moment, and none older than the last transaction's."""
    seen, queries = 0, 0
    async with await connect(database_url, default_transaction_isolation="repeatable read") as connection:
        while not done.is_set():
            async with connection.transaction():
                await connection.execute("SELECT 1")
                await asyncio.sleep(0.01)
                (last,) = await numbers(connection, LAST)
                await asyncio.sleep(0.01)
                assert (await checkpoint.read(connection)).position == last >= seen
            seen, queries = last, queries + 1
    return queries


async def numbers(connection: Connection, query: str) -> list[int]:
    row = await (await connection.execute(query)).fetchone()  # type: ignore[call-overload]
    return list(row)


async def test_a_reader_who_comes_just_before_both_are_equal_is_waited_for(database_url: str) -> None:
    office = BoxOffice(6)
    async with owner(database_url) as connection, reading(database_url, "REPEATABLE READ") as reader:
        await append(connection, office.commands(30))
        await fold_all(database_url)
        await stopped_before("swap", database_url)
        await append(connection, office.commands(30))
        await fold_all(database_url)
        async with (
            await connect(database_url, **FRESH_SETTINGS, search_path="tixxety, projections_next") as folding,
            owner(database_url) as watcher,
        ):
            batches = Batches(folding, await checkpoint.read(folding))

            async def follow(position: int) -> None:
                await reader.execute("SELECT 1")
                while batches.position < position:
                    await batches.fold_next(position - batches.position)

            with pytest.raises(SwapHeldUp, match=f"held up by process {reader.info.backend_pid} "):
                await Swap(connection, watcher, follow).swap(0)
        last = (await checkpoint.read(connection)).position
        assert await numbers(reader, POSITIONS) == [last, last]
