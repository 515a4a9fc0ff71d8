"""What the tests of the workers share: a connection, a group commit that is open, and workers that run."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from eventstore.postgres.connections import BY_INDEX, WORKER_ROLE, Connection, connect
from eventstore.writing.group_commit import GroupCommit
from workers.main import run

Worker = Callable[..., AbstractAsyncContextManager[asyncio.Task[None]]]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """A connection as the serving processes have it."""
    async with await connect(database_url) as connection:
        yield connection


@pytest.fixture
async def at_work(database_url: str) -> AsyncIterator[Connection]:
    """A connection as a worker's jobs have it."""
    async with await connect(database_url, role=WORKER_ROLE, **BY_INDEX) as connection:
        yield connection


@pytest.fixture
async def commands(database_url: str) -> AsyncIterator[GroupCommit]:
    """One process's way to write."""
    async with GroupCommit(database_url) as commands:
        yield commands


@pytest.fixture
def worker(database_url: str) -> Worker:
    """A worker that runs for as long as its block, on this database or through another URL of it."""

    @asynccontextmanager
    async def working(url: str = database_url) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(run(url, 90))
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(task, 20)

    return working
