"""What one worker at a time does: another takes over when it ends, hangs or loses its database; a bug stops no job."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from eventstore.errors import DiskFull
from eventstore.postgres.asyncio_tasks import end
from eventstore.postgres.connections import Connection
from tests import box_office
from tests.fault_proxy import FaultProxy
from workers.job_runner import Job, Jobs

WORDS = ("the counting can't go on", "the counting goes on")


class Counting(Job):
    """Counts how often it could work."""

    name = "counting"
    interval_seconds = 0.01

    def __init__(self) -> None:
        self.done = self.failed = 0
        self.error: Exception | None = None

    async def work(self, connection: Connection) -> None:
        if self.error:
            self.failed += 1
            raise self.error
        self.done += await box_office.only(connection, "SELECT 1")


class Hurrying(Counting):
    """Wants to be called long before its interval has passed; an interval alone would take a minute for 30 calls."""

    name = "hurrying"
    interval_seconds = 2

    async def work(self, connection: Connection) -> float:  # type: ignore[override]
        await super().work(connection)
        return 0.01


@asynccontextmanager
async def working(database_url: str, *jobs: Job) -> AsyncIterator[asyncio.Task[None]]:
    """A worker with these jobs."""

    @asynccontextmanager
    async def make(_: str) -> AsyncIterator[Sequence[Job]]:
        yield jobs

    task = asyncio.create_task(Jobs(database_url, make).run())
    try:
        yield task
    finally:
        await end(task)


def counts_on(job: Counting, more: int = 3) -> Callable[[], Awaitable[bool]]:
    """Whether it has worked so often from now on."""
    wanted = job.done + more

    async def has_counted() -> bool:
        return job.done >= wanted

    return has_counted


def fails_on(job: Counting) -> Callable[[], Awaitable[bool]]:
    """Whether it has failed again and again."""

    async def has_failed() -> bool:
        return job.failed >= 2

    return has_failed


async def until_counting(job: Counting) -> None:
    await box_office.until(counts_on(job))


async def test_all_jobs_are_done_and_called_again_when_they_wish(database_url: str) -> None:
    jobs: Sequence[Counting] = (Counting(), Hurrying())
    async with working(database_url, *jobs):
        for job in jobs:
            await box_office.until(counts_on(job, 30))


async def test_one_works_while_the_other_stands_by(database_url: str) -> None:
    one, other = Counting(), Counting()
    async with working(database_url, one) as first:
        await until_counting(one)
        async with working(database_url, other):
            await until_counting(one)
            assert other.done == 0
            first.cancel()
            await until_counting(other)


async def test_quiet_times_between_two_calls_cost_nothing(database_url: str) -> None:
    """However long a job pauses: what holds the lock speaks meanwhile."""
    job, other = Counting(), Counting()
    job.interval_seconds = 1.6
    async with working(database_url, job):
        await box_office.until(counts_on(job, 1))
        async with working(database_url, other):
            # A whole pause between the two.
            await box_office.until(counts_on(job, 2))
    assert other.done == 0


async def test_a_database_that_is_away_is_waited_for_and_told_once(database_url: str) -> None:
    job = Counting()
    with capture_logs() as logs:
        async with FaultProxy(database_url) as proxy, working(proxy.url, job):
            for _ in range(2):
                await until_counting(job)
                await proxy.go_away()
                before = len(logs)

                async def is_told(told: int = before) -> bool:
                    return len(logs) > told

                await box_office.until(is_told)
                await proxy.come_back()
                await until_counting(job)
    told = [entry["event"] for entry in logs if "jobs" in entry["event"] and "go" in entry["event"]]
    assert told == ["the worker's jobs can't go on", "the worker's jobs goes on"] * 2


@pytest.mark.parametrize("error", [DiskFull(), ValueError("a bug")])
async def test_a_job_that_fails_is_told_and_called_again_while_the_others_go_on(
    database_url: str, error: Exception
) -> None:
    job, other = Counting(), Hurrying()
    job.error = error
    with capture_logs() as logs:
        async with working(database_url, job, other):
            await box_office.until(fails_on(job))
            await until_counting(other)
            job.error = None
            await until_counting(job)
    assert not isinstance(error, DiskFull) or tuple(e["event"] for e in logs if e["event"] in WORDS) == WORDS
