"""Searching for words, apart from all other reading: few at once, each for a bounded time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from psycopg.errors import QueryCanceled
from psycopg_pool import PoolTimeout, TooManyRequests

from api.http.errors import SearchesOverloaded, SearchTooSlow
from eventstore.box_office import BoxOffice
from eventstore.postgres import connections
from eventstore.postgres.connections import Connection

AT_ONCE = 2
WAITING_MAX = 16
SECONDS_MAX = 2


class Searches:
    """A pool whose queries end after two seconds, and which a bounded number may wait for, three times as long."""

    def __init__(self, box_office: BoxOffice | str) -> None:
        self._pool = connections.pool(box_office, AT_ONCE, statement_timeout=f"{SECONDS_MAX}s")
        self._pool.max_waiting = WAITING_MAX
        # Longer than one search may take, so that one that has no end is no sign of a database that is away.
        self._pool.timeout = 3 * SECONDS_MAX

    async def __aenter__(self) -> Self:
        await self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection to search with. Raises `SearchesOverloaded`; `SearchTooSlow` when the search was ended."""
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, TooManyRequests):
            raise SearchesOverloaded from None
        except QueryCanceled:
            raise SearchTooSlow(SECONDS_MAX) from None
