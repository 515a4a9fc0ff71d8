"""The worker as a process: runs until a signal asks it to end."""

from __future__ import annotations

import asyncio
import contextlib

import uvloop

from tixxety.processes import spare_collector
from tixxety.supervisor import STOP_SIGNALS
from workers.main import run


def work(database_url: str, refusals_kept_days: int) -> None:
    """Run the worker until SIGINT, SIGTERM or SIGHUP, which cancel it and let it clean up."""

    async def run_until_signal() -> None:
        working = asyncio.ensure_future(run(database_url, refusals_kept_days))
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, working.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await working

    spare_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_until_signal())
