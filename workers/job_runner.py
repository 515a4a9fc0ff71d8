"""What one worker at a time does again and again, on APScheduler's clock, while the others stand by."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from psycopg_pool import AsyncConnectionPool

from eventstore.box_office import JOBS_KEY, BoxOffice
from eventstore.errors import Failure
from eventstore.postgres.asyncio_tasks import end
from eventstore.postgres.connections import ANSWER_SECONDS, BY_INDEX, WORKER_ROLE, Connection, pool
from eventstore.postgres.lease import Lease, Term
from eventstore.postgres.outage_log import Outage

TRY_LOCK = "SELECT pg_try_advisory_lock(%(lock_class)s, %(lock_key)s)"
# A call that comes late is still made, and several that were missed are one.
EACH_JOB = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}

log = structlog.get_logger()


class Job(ABC):
    """One kind of work. For a moment two workers may do it, until one has noticed that it was replaced."""

    name: str
    interval_seconds: float

    @abstractmethod
    async def work(self, connection: Connection) -> float | None:
        """Do what there is to do; returns in how many seconds to be called again, None for after the interval."""


MakeJobs = Callable[[BoxOffice], AbstractAsyncContextManager[Sequence[Job]]]


class Jobs:
    """All jobs of a worker under one lease: the worker that has it does them all, side by side."""

    def __init__(self, box_office: BoxOffice | str, make: MakeJobs) -> None:
        """`make` is called for each term, with the box office on its server: what a job remembers or is connected to
        may not be so on another.
        """
        self._box_office = box_office
        self._make = make
        self._outages: dict[str, Outage] = {}
        self._under_way: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Until cancelled. A job that fails is called again, whatever it was; the log tells."""
        await Lease(self._box_office, "worker's jobs", _ask, self._work).keep()

    async def _work(self, term: Term[bool]) -> None:
        async with (
            self._make(term.box_office) as jobs,
            pool(term.box_office, len(jobs), ANSWER_SECONDS, role=WORKER_ROLE, **BY_INDEX) as connections,
        ):
            scheduler = AsyncIOScheduler(timezone="UTC", job_defaults=EACH_JOB)
            for job in jobs:
                every: dict[str, Any] = {"seconds": job.interval_seconds, "next_run_time": datetime.now(UTC)}
                scheduler.add_job(self._call, "interval", [job, connections, scheduler], id=job.name, **every)
            scheduler.start()
            log.info("doing the worker's jobs", jobs=[job.name for job in jobs])
            term.goes_on()
            try:
                await asyncio.Event().wait()
            finally:
                scheduler.pause()
                await end(*self._under_way)
                scheduler.shutdown()

    async def _call(self, job: Job, connections: AsyncConnectionPool[Connection], scheduler: AsyncIOScheduler) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        outage = self._outages.setdefault(job.name, Outage(job.name))
        # The scheduler would log it as an error that the term ends.
        with contextlib.suppress(asyncio.CancelledError):
            try:
                async with connections.connection() as connection:
                    again_in_seconds = await job.work(connection)
            except (psycopg.Error, Failure) as error:
                outage.note(error)
            else:
                outage.over()
                # Not before the scheduler has seen that this call is over: it skips a job that still runs.
                task.add_done_callback(lambda _: _plan(scheduler, job, again_in_seconds))


def _plan(scheduler: AsyncIOScheduler, job: Job, again_in_seconds: float | None) -> None:
    """Have the job called sooner than its interval says, if it wants to be."""
    planned = scheduler.get_job(job.name)
    if again_in_seconds is not None and planned is not None and planned.next_run_time is not None:
        at = datetime.now(UTC) + timedelta(seconds=again_in_seconds)
        planned.modify(next_run_time=min(at, planned.next_run_time))


async def _ask(holder: Connection) -> bool | None:
    row = await (await holder.execute(TRY_LOCK, holder.box_office.lock(JOBS_KEY))).fetchone()
    return True if row and row[0] else None
