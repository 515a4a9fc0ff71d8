"""One worker process: the projector without pause; expiry, snapshots, sealing and ageing on APScheduler's clock."""

import asyncio
from contextlib import AsyncExitStack

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from eventstore.group_commit import GroupCommit
from projections.failures import FoldFailed
from projections.follower import Follower
from projections.runner import Runner
from workers.ageing import Ageing
from workers.expiry import Expiry
from workers.sealing import Sealing
from workers.snapshots import Snapshots

EXPIRY_INTERVAL_SECONDS = 1
SNAPSHOTS_INTERVAL_SECONDS = 5
SEALING_INTERVAL_SECONDS = 5
AGEING_INTERVAL_SECONDS = 600
# Small, so that the buyers who wait for the same event are never held up for long.
GROUP_COMMANDS = 128

log = structlog.get_logger()


async def run(database_url: str, refusals_kept_days: int) -> None:
    """Work until cancelled. A fold that fails stops the projector alone; what was folded by then still expires.

    Refused attempts are forgotten after `refusals_kept_days`.
    """
    async with AsyncExitStack() as stack:
        commands = await stack.enter_async_context(GroupCommit(database_url, group_commands=GROUP_COMMANDS))
        follower = await stack.enter_async_context(Follower(database_url))
        scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        expiry = Expiry(database_url, commands, follower, scheduler)
        snapshots, sealing = Snapshots(database_url), Sealing(database_url)
        ageing = Ageing(database_url, refusals_kept_days)
        for job in (snapshots, sealing, ageing):
            stack.push_async_callback(job.close)
        stack.push_async_callback(expiry.close)
        scheduler.add_job(expiry.run, "interval", seconds=EXPIRY_INTERVAL_SECONDS, id=expiry.job_id)
        scheduler.add_job(snapshots.run, "interval", seconds=SNAPSHOTS_INTERVAL_SECONDS, id="snapshots")
        scheduler.add_job(sealing.run, "interval", seconds=SEALING_INTERVAL_SECONDS, id="sealing")
        scheduler.add_job(ageing.run, "interval", seconds=AGEING_INTERVAL_SECONDS, id="ageing")
        scheduler.start()
        stack.callback(scheduler.shutdown, wait=True)
        log.info("worker started")
        try:
            await Runner(database_url).run()
        except FoldFailed:
            log.exception("the projections stopped")
            await asyncio.Event().wait()
