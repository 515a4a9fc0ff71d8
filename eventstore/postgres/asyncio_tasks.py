"""Ending asyncio's tasks for sure, and running several that end together."""

import asyncio
from collections.abc import Coroutine
from typing import Any

CANCEL_AGAIN_SECONDS = 2.0


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks until all have ended; what they end with is left in them.

    Not only once: a pool that checks its connections takes being cancelled for a broken one and goes on.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=CANCEL_AGAIN_SECONDS)


async def first_to_end(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run together until one ends, and end as it did (of several, as the first in order); the others are cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done:
                task.result()
    finally:
        await end(*tasks)
        # Also those that ended with an exception that nobody hears of are taken note of.
        await asyncio.gather(*tasks, return_exceptions=True)
