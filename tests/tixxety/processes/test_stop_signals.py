"""A request to end: the same for each of its signals, lost nowhere, and heeded once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest
import uvloop

from tests.running import ROOT
from tests.tixxety.waiting_for_processes import until
from tixxety.processes.stop_signals import STOP_SIGNALS, StopRequested, run, stop_signals, stops_requested

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_each_is_the_same(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def wait_for_it() -> None:
        with stop_signals():
            os.kill(os.getpid(), number)
            until(lambda: False, seconds=5)

    with pytest.raises(StopRequested) as stop:
        wait_for_it()
    assert stop.value.number == number
    assert signal.getsignal(number) is before


def test_a_second_one_does_not_break_into_what_follows() -> None:
    def clean_up() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: stops_requested() == 2)

    def stop_and_clean_up() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            clean_up()

    with pytest.raises(StopRequested), stop_signals():
        stop_and_clean_up()


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_loop_is_cancelled_and_cleans_up(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    cleaned_up = False

    async def work() -> NoReturn:
        nonlocal cleaned_up
        # In the middle of a task that nobody looks at, an exception would be lost.
        task = asyncio.create_task(stop_myself())
        try:
            await asyncio.Event().wait()
        finally:
            await task
            cleaned_up = True
        raise AssertionError

    async def stop_myself() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StopRequested), stop_signals():
        run(work(), loop_factory)
    assert cleaned_up


def test_who_was_asked_to_stop_does_not_go_on() -> None:
    async def finish() -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        return 1

    with pytest.raises(StopRequested), stop_signals():
        run(finish())


def test_without_anybody_asking_it_is_a_plain_run() -> None:
    async def finish() -> int:
        return 1

    assert run(finish()) == 1


@pytest.mark.parametrize("ignored", [signal.SIGINT, signal.SIGHUP])
def test_under_nohup_a_hangup_stays_ignored_and_in_a_shells_background_an_interrupt_is_heeded(
    ignored: signal.Signals,
) -> None:
    code = f"""
import asyncio, os, signal
from tixxety.processes.stop_signals import StopRequested, run, stop_signals
async def work():
    os.kill(os.getpid(), {int(ignored)})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "went on"
try:
    with stop_signals():
        print(run(work()))
except StopRequested as stop:
    print(stop)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(ignored, signal.SIG_IGN),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == ("went on\n" if ignored == signal.SIGHUP else "SIGINT\n")
