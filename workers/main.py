"""One worker process: the projector without pause; expiry, snapshots, sealing and ageing on a clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from eventstore.box_office import BoxOffice
from eventstore.postgres.asyncio_tasks import first_to_end
from eventstore.writing.group_commit import GroupCommit
from projections.projector.checkpoint_watcher import CheckpointWatcher
from projections.projector.projector import Projector
from workers.job_runner import Job, Jobs
from workers.periodic_jobs import EndedLogins, RefusalRetention, Sealing, Snapshots
from workers.reservation_sweep import ReservationSweep

# Small, so that the buyers who wait for the same event are never held up for long.
GROUP_COMMANDS = 128

log = structlog.get_logger()


async def run(box_office: BoxOffice | str, refusals_kept_days: int) -> None:
    """Work until cancelled, whatever becomes of the database; refused attempts are kept for `refusals_kept_days`.

    Raises `SchemaOutdated` when the program on disk is a newer one that the tables wait for.
    """

    @asynccontextmanager
    async def jobs(box_office: BoxOffice) -> AsyncIterator[list[Job]]:
        async with (
            GroupCommit(box_office, group_commands=GROUP_COMMANDS) as commands,
            CheckpointWatcher(box_office) as watcher,
        ):
            yield [
                ReservationSweep(commands, watcher),
                Snapshots(),
                Sealing(),
                RefusalRetention(refusals_kept_days),
                EndedLogins(),
            ]

    log.info("worker started")
    await first_to_end(Projector(box_office).run(), Jobs(box_office, jobs).run())
