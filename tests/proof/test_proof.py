"""The judge of the campaigns finds no fault in what merely moves on while it looks."""

import asyncio

from eventstore.postgres.connections import connect
from projections.projector.projector import Projector
from tests.projections.histories import BoxOffice, append
from tests.projections.waiting import running
from tests.proof.proof import faults


async def test_a_history_that_goes_on_is_judged_at_one_moment(database_url: str) -> None:
    commands = BoxOffice(7).commands(200)

    async def write_on() -> None:
        async with await connect(database_url) as connection:
            for start in range(0, len(commands), 2):
                await append(connection, commands[start : start + 2])

    async with running(Projector(database_url)):
        writing = asyncio.create_task(write_on())
        while not writing.done():
            assert await asyncio.to_thread(faults, database_url) == []
        await writing
        assert await asyncio.to_thread(faults, database_url) == []
