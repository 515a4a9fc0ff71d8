"""Where the command line begins: signals are heeded before anything else is loaded, and every end has an exit code."""

import errno
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import NoReturn

from tixxety.processes.child_process import end_with_uv
from tixxety.processes.first_process import stay_as_init
from tixxety.processes.stop_signals import StopRequested, signal_exit_code, stop_signals
from tixxety.terminal.say import say

# These run until they are asked to stop, which is then no interruption.
UNTIL_STOPPED = ("up", "serve", "worker")
COULD_NOT = 2
OUT_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> NoReturn:
    """Run the command that was typed, and end with its exit code."""
    sys.exit(exit_code(sys.argv[1:]))


def exit_code(arguments: Sequence[str]) -> int:
    """0: done. 1: looked, and something is not well. 2: could not be done. 128 and the signal: interrupted.

    `up`, `serve` and `worker` end with 0 when they are asked to stop. Raises SystemExit where a command gives its code,
    and ImportError where the installation is broken.
    """
    try:
        with stop_signals():
            if os.getpid() == 1:
                stay_as_init()
            return execute()
    except StopRequested as stop:
        if arguments and arguments[0] in UNTIL_STOPPED:
            return 0
        say(f"Stopped by {stop} before the end.")
        return signal_exit_code(stop.number)


def execute() -> int:
    """Run the command that was typed; its exit code. Raises ImportError, and SystemExit with other exit codes."""
    try:
        end_with_uv()
        from tixxety.commands.all_commands import app  # loading it takes a while, in which a signal may come

        return app(prog_name="tixxety", standalone_mode=False) or 0
    except SystemExit as end:
        # Typer ends with 1 when nobody reads on, as in `tixxety export | head`.
        if isinstance(end.__context__, BrokenPipeError):
            return signal_exit_code(signal.SIGPIPE)
        raise
    except ImportError:
        raise
    except Exception as error:
        tell(error)
    return COULD_NOT


def tell(error: Exception) -> None:
    """Say in one sentence why it can't be done; of a mistake of ours, where it is."""
    # Only here: a command that does not fail may need none of them.
    import psycopg
    import typer

    from domain.errors import Refusal
    from eventstore.errors import Failure as StoreFailure
    from tixxety.errors import Failure

    match error:
        case Failure() | StoreFailure() | Refusal():
            say(str(error))
        case typer.TyperException():
            say(" ".join(error.format_message().split()))
        case psycopg.Error():
            say(f"The database refuses or does not answer: {' '.join(str(error).split())}")
        case OSError():
            say(sentence_of(error))
        case _:
            traceback.print_exception(error)


def sentence_of(error: OSError) -> str:
    """What the system refused, and where to look when it is out of room."""
    what = f"{error.strerror or error}: {error.filename}" if error.filename else f"{error.strerror or error}"
    if error.errno in OUT_OF_ROOM and tempfile.tempdir is not None:
        return f"{what}. Temporary files lie in {tempfile.tempdir}; the variable TMPDIR names another folder."
    return f"{what}."
