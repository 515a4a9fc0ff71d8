"""A job that one worker at a time does: another takes over when it ends, hangs or loses its database."""

import pytest

from eventstore.connections import Connection
from eventstore.locks import EXPIRY_KEY, SNAPSHOTS_KEY
from tests import box_office
from tests.fault_proxy import FaultProxy
from workers.alone import Alone


class Counting(Alone):
    """Counts how often it could work."""

    done = 0
    bug: Exception | None = None

    async def work(self, connection: Connection) -> None:
        if self.bug:
            raise self.bug
        self.done += await box_office.only(connection, "SELECT 1")


async def test_one_works_while_the_other_stands_by(database_url: str) -> None:
    one, other = (Counting(database_url, EXPIRY_KEY, idle_seconds=5) for _ in range(2))
    for _ in range(3):
        await one.run()
        await other.run()
    assert (one.done, other.done) == (3, 0)
    await one.close()

    async def takes_over() -> bool:
        await other.run()
        return other.done > 0

    assert await box_office.until(takes_over)
    await one.run()
    assert (one.done, other.done) == (3, 1)
    await one.close()
    await other.close()


async def test_other_jobs_do_not_wait(database_url: str) -> None:
    jobs = [Counting(database_url, key, idle_seconds=5) for key in (EXPIRY_KEY, SNAPSHOTS_KEY)]
    for job in jobs:
        await job.run()
    assert [job.done for job in jobs] == [1, 1]
    for job in jobs:
        await job.close()


async def test_one_that_hangs_loses_its_turn(database_url: str) -> None:
    hanging = Counting(database_url, EXPIRY_KEY, idle_seconds=1)
    other = Counting(database_url, EXPIRY_KEY, idle_seconds=5)
    await hanging.run()

    async def takes_over() -> bool:
        await other.run()
        return other.done > 0

    assert await box_office.until(takes_over)
    before = hanging.done
    for _ in range(3):
        await hanging.run()
    assert hanging.done == before
    await hanging.close()
    await other.close()


async def test_a_database_that_is_away_is_tried_again_at_the_next_call(database_url: str) -> None:
    async with FaultProxy(database_url) as proxy:
        job = Counting(proxy.url, EXPIRY_KEY, idle_seconds=5)
        await job.run()
        await proxy.go_away()
        await job.run()
        await job.run()
        assert job.done == 1
        await proxy.come_back()

        async def works_again() -> bool:
            await job.run()
            return job.done > 1

        assert await box_office.until(works_again)
        await job.close()


async def test_a_bug_is_told_and_gives_the_turn_to_another(database_url: str) -> None:
    one, other = (Counting(database_url, EXPIRY_KEY, idle_seconds=5) for _ in range(2))
    one.bug = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        await one.run()

    async def takes_over() -> bool:
        await other.run()
        return other.done > 0

    assert await box_office.until(takes_over)
    await other.close()
