"""What the tests of auditing share: a connection, and assertions that explain themselves."""

from collections.abc import AsyncIterator

import pytest

from eventstore.postgres.connections import WORKER_ROLE, Connection, connect

pytest.register_assert_rewrite("tests.auditing.sealed_histories")


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """A connection as the worker has it, which seals."""
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        yield connection
