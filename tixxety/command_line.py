"""Where the command line begins: signals are heeded before anything else is loaded, and every end has an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from tixxety.processes.first_process import stay_as_init
from tixxety.processes.stop_signals import StopRequested, signal_exit_code, stop_signals
from tixxety.terminal.say import say

# These run until they are asked to stop, which is then no interruption.
UNTIL_STOPPED = ("up", "serve", "worker")


def main() -> NoReturn:
    """Run the command that was typed, and end with its exit code."""
    sys.exit(exit_code(sys.argv[1:]))


def exit_code(arguments: Sequence[str]) -> int:
    """0: done. 1: looked, and something is not well. 2: could not be done. 128 and the signal: interrupted.

    `up`, `serve` and `worker` end with 0 when they are asked to stop. Raises SystemExit where a command gives its code.
    """
    try:
        with stop_signals():
            if os.getpid() == 1:
                stay_as_init()
            from tixxety.cli import execute  # loading it takes a second, in which a signal may come

            return execute()
    except StopRequested as stop:
        if arguments and arguments[0] in UNTIL_STOPPED:
            return 0
        say(f"Stopped by {stop} before the end.")
        return signal_exit_code(stop.number)
