"""The database's clock as a test sets it, for what comes with time: nobody has to wait for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import psycopg

from eventstore.postgres.connections import Connection

SETTABLE_CLOCK = """
ALTER FUNCTION lock_streams RENAME TO lock_streams_now;
CREATE TABLE clock_shift (by interval NOT NULL, stands_at timestamptz);
INSERT INTO clock_shift VALUES ('0');
GRANT SELECT ON clock_shift TO PUBLIC;
CREATE FUNCTION lock_streams(keys bigint[]) RETURNS timestamptz LANGUAGE sql
    RETURN (SELECT coalesce(stands_at, locked_at + by) FROM lock_streams_now(keys) AS locked_at, clock_shift);
"""


class Clock:
    """The database's clock as the store reads it, to be set by a test."""

    def __init__(self, owner: Connection) -> None:
        self.owner = owner

    async def shift(self, **units: float) -> None:
        """Let it show the true time and so much more."""
        await self.owner.execute("UPDATE clock_shift SET by = %s", (timedelta(**units),))

    async def stand_at(self, instant: datetime) -> None:
        """Let it show this instant from now on."""
        await self.owner.execute("UPDATE clock_shift SET stands_at = %s", (instant,))


@asynccontextmanager
async def settable_clock(database_url: str) -> AsyncIterator[Clock]:
    """From here on the database has a clock that can be set; what groups decide goes by it."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as owner:
        await owner.execute("SET search_path = tixxety")
        await owner.execute(SETTABLE_CLOCK)
        yield Clock(owner)
