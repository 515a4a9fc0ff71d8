"""The watcher wakes those who wait for a position, forgets those who gave up, and finds its way back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from eventstore.postgres.connections import WORKER_ROLE, connect, connect_as_owner
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from projections.projector.checkpoint_watcher import CheckpointWatcher
from tests.projections.histories import BoxOffice, append
from tests.projections.waiting import end_other_sessions, until

PATIENCE_SECONDS = 30.0
NO_PATIENCE_SECONDS = 0.01
SET_BACK = "UPDATE checkpoint SET position = %s"


class Projections:
    """Tables that a test folds by hand, and the watcher that watches them."""

    def __init__(self, database_url: str, watcher: CheckpointWatcher) -> None:
        self.database_url = database_url
        self.watcher = watcher
        self.office = BoxOffice(1)

    async def fold(self, commands: int = 1) -> int:
        """Append and fold so many commands; returns the position reached."""
        async with await connect(self.database_url, role=WORKER_ROLE) as connection:
            last = await append(connection, self.office.commands(commands))
            await Batches(connection, await checkpoint.read(connection)).fold_next()
        return last


@pytest.fixture
async def projections(database_url: str) -> AsyncIterator[Projections]:
    async with CheckpointWatcher(database_url) as watcher:
        yield Projections(database_url, watcher)


async def test_a_position_that_is_reached_needs_no_waiting(projections: Projections) -> None:
    last = await projections.fold()
    assert await projections.watcher.wait_for(last, PATIENCE_SECONDS)
    assert await projections.watcher.wait_for(last, 0)
    assert projections.watcher.position == last


async def test_a_batch_wakes_whoever_waits_for_what_it_reached(projections: Projections) -> None:
    last = await projections.fold()
    waiting = {n: asyncio.create_task(projections.watcher.wait_for(last + n, PATIENCE_SECONDS)) for n in range(1, 900)}
    await asyncio.sleep(0)
    reached = await projections.fold(20) - last
    for n in range(1, reached + 1):
        assert await waiting.pop(n)
    assert not any(task.done() for task in waiting.values())
    for task in waiting.values():
        task.cancel()


async def test_patience_ends_and_leaves_nothing_behind(projections: Projections) -> None:
    last = await projections.fold()
    assert await projections.watcher.wait_for(last, PATIENCE_SECONDS)
    waits = [projections.watcher.wait_for(last + 1, NO_PATIENCE_SECONDS) for _ in range(200)]
    assert await asyncio.gather(*waits) == [False] * 200
    given_up = asyncio.create_task(projections.watcher.wait_for(last + 1, PATIENCE_SECONDS))
    await asyncio.sleep(0)
    assert projections.watcher.waiting == 1
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert projections.watcher.waiting == 0


async def test_waiting_takes_no_connection(projections: Projections) -> None:
    last = await projections.fold()
    assert await projections.watcher.wait_for(last, PATIENCE_SECONDS)
    waiting = [asyncio.create_task(projections.watcher.wait_for(last + 1, PATIENCE_SECONDS)) for _ in range(100)]
    await asyncio.sleep(0)
    async with await connect(projections.database_url, role=WORKER_ROLE) as connection:
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        assert await (await connection.execute(sessions)).fetchone() == (2,)
    await projections.fold()
    assert await asyncio.gather(*waiting) == [True] * 100


async def test_a_lost_connection_is_made_again_and_what_happened_meanwhile_is_known(projections: Projections) -> None:
    last = await projections.fold()
    assert await projections.watcher.wait_for(last, PATIENCE_SECONDS)
    waiting = asyncio.create_task(projections.watcher.wait_for(last + 1, PATIENCE_SECONDS))
    await end_other_sessions(projections.database_url)
    await projections.fold()
    assert await waiting
    assert await projections.watcher.wait_for(await projections.fold(), PATIENCE_SECONDS)


@pytest.mark.parametrize("said", ["x", "", "1", "99999999999"])
async def test_what_anybody_may_say_on_the_channel_is_not_believed(projections: Projections, said: str) -> None:
    assert await projections.watcher.wait_for(await projections.fold(3), PATIENCE_SECONDS)
    async with await connect(projections.database_url, role=WORKER_ROLE) as connection:
        await connection.execute("SELECT pg_notify(%s, %s)", ("projections", said))
    last = await projections.fold()
    assert await projections.watcher.wait_for(last, PATIENCE_SECONDS)
    assert projections.watcher.position == last


async def test_whatever_goes_wrong_it_starts_over(projections: Projections) -> None:
    last = await projections.fold()
    assert await projections.watcher.wait_for(last, PATIENCE_SECONDS)

    async def knows_nothing() -> bool:
        return projections.watcher.position == 0

    async with await connect_as_owner(projections.database_url, search_path="projections") as owner:
        await owner.execute("ALTER TABLE checkpoint RENAME TO away")
        await until(knows_nothing)
        await owner.execute("ALTER TABLE away RENAME TO checkpoint")
    assert await projections.watcher.wait_for(last, PATIENCE_SECONDS)


async def test_tables_that_went_back_with_a_crash_are_not_taken_for_folded(projections: Projections) -> None:
    last = await projections.fold(20)
    assert await projections.watcher.wait_for(last, PATIENCE_SECONDS)
    async with await connect(projections.database_url, role=WORKER_ROLE) as connection:
        await connection.execute(SET_BACK, (1,))
    await end_other_sessions(projections.database_url)

    async def knows() -> bool:
        return projections.watcher.position == 1

    await until(knows)
    assert not await projections.watcher.wait_for(last, NO_PATIENCE_SECONDS)


async def test_a_watcher_that_ends_closes_its_connection(database_url: str) -> None:
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        async with CheckpointWatcher(database_url) as watcher:
            last = await append(connection, BoxOffice(1).commands(1))
            await Batches(connection, await checkpoint.read(connection)).fold_next()
            assert await watcher.wait_for(last, PATIENCE_SECONDS)

        async def alone() -> bool:
            sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            return await (await connection.execute(sessions)).fetchone() == (1,)

        await until(alone)
