"""The signals that ask a process to end: SIGINT, SIGTERM and SIGHUP mean the same everywhere."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

T = TypeVar("T")


class StopRequested(BaseException):
    """Someone asked this process to end: Ctrl-C, a terminal that closed, or the system."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass
class _Requests:
    """What this process was asked so far, and the task that a request cancels."""

    count: int = 0
    number: int | None = None
    task: asyncio.Task[Any] | None = None


_requests = _Requests()


def watched_signals() -> list[signal.Signals]:
    """The stop signals that this process heeds.

    A shell starts its background jobs with SIGINT ignored, which is not meant; nohup's ignored SIGHUP is.
    """
    return [number for number in STOP_SIGNALS if (number, signal.getsignal(number)) != (signal.SIGHUP, signal.SIG_IGN)]


@contextmanager
def stop_signals() -> Iterator[None]:
    """In the block a stop signal raises StopRequested once; what follows is bounded in time, and not broken into."""
    before = {number: signal.getsignal(number) for number in watched_signals()}
    _requests.count, _requests.number = 0, None
    for number in before:
        signal.signal(number, _request_stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stops_requested() -> int:
    """How often this process was asked to stop: who waits for others at the end gives up when asked once more."""
    return _requests.count


def signal_exit_code(number: int) -> int:
    """What a process ends with that a signal has ended, as shells have it."""
    return 128 + number


def run(main: Coroutine[Any, Any, T], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Run a coroutine in a loop of its own. A stop signal cancels it; once it has cleaned up, raises StopRequested.

    Raised in the middle of a loop, an exception may end up in any of its tasks, and be lost there.
    """
    import asyncio  # signals are heeded before it is loaded, and help needs none of it

    async def cancellable() -> T:
        _requests.task = asyncio.current_task()
        return await main

    asked_before = _requests.number is not None
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(cancellable())
    finally:
        _requests.task = None
        if _requests.number is not None and not asked_before:
            # Whatever came of it: who was asked to stop does not go on.
            raise StopRequested(_requests.number) from None


def _request_stop(number: int, _frame: object) -> None:
    _requests.count += 1
    if _requests.number is not None:
        return
    _requests.number = number
    if _requests.task is None:
        raise StopRequested(number)
    _requests.task.get_loop().call_soon_threadsafe(_requests.task.cancel)
