"""What the tests of the event store share: a connection, and a group commit that is open."""

from collections.abc import AsyncIterator

import pytest

from eventstore.postgres.connections import BY_INDEX, WORKER_ROLE, Connection, connect
from eventstore.postgres.round_trips import Trips
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_statements import STATEMENTS


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """A connection as the serving processes have it."""
    async with await connect(database_url) as connection:
        yield connection


@pytest.fixture
async def worker(database_url: str) -> AsyncIterator[Connection]:
    """A connection as the worker has it for what only the worker does."""
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        yield connection


@pytest.fixture
async def commands(database_url: str) -> AsyncIterator[GroupCommit]:
    """One process's way to write."""
    async with GroupCommit(database_url) as commands:
        yield commands


@pytest.fixture
async def trips(database_url: str) -> AsyncIterator[Trips]:
    """A connection as a group has it."""
    trips = await Trips.open(database_url, STATEMENTS, 10, **BY_INDEX)
    try:
        yield trips
    finally:
        trips.close()
