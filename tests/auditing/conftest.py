"""What the tests of auditing share: a connection, and assertions that explain themselves."""

from collections.abc import AsyncIterator

import pytest

from eventstore.connections import Connection, connect

pytest.register_assert_rewrite("tests.auditing.sealed_histories")


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """A connection as the serving processes have it."""
    async with await connect(database_url) as connection:
        yield connection
