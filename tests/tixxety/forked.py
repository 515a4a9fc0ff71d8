"""The command line in processes forked from one that has loaded it already, which spares each of them a second."""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess

from tests.running import ROOT
from tixxety.commands.all_commands import COMMANDS, module_of
from tixxety.processes.child_process import LIBC, tie_to_parent

FORKS = multiprocessing.get_context("forkserver")
# What runs its own tests in here has pytest as its main module.
COMMAND_MODULES = {module_of(name) for name in COMMANDS}
FORKS.set_forkserver_preload(["pytest", *sorted(COMMAND_MODULES), "tixxety.serving.api_process"])
SECONDS_MAX = 120.0


class Command:
    """`tixxety` with these arguments, with exactly these variables and PATH; what it says goes to two files."""

    def __init__(self, arguments: list[str], variables: Mapping[str, str], output: Path, errors: Path) -> None:
        environment = {"PATH": os.environ["PATH"], "TIXXETY_NO_VENV": "1", **variables}
        places = (str(output), str(errors))
        self.process = FORKS.Process(target=be_the_command, args=(arguments, environment, places))
        self.errors = errors
        for path in (output, errors):
            path.write_bytes(b"")
        self.process.start()

    @property
    def pid(self) -> int:
        """The process id, also after the end."""
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        """Its exit code, or a signal's negative number; None while it runs."""
        return self.process.exitcode

    def wait(self, seconds: float = SECONDS_MAX) -> int:
        """The same, after the end."""
        self.process.join(seconds)
        code = self.process.exitcode
        assert code is not None, f"process {self.pid} still runs after {seconds} s"
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that is gone is left alone."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Have the kernel end it, if it still runs."""
        self.send_signal(signal.SIGKILL)


def be_the_command(arguments: list[str], environment: dict[str, str], places: tuple[str, str]) -> None:
    """Become what `python -m tixxety` would be at this point; gone when the tests are, also by kill -9."""
    if LIBC is not None:
        tie_to_parent(LIBC, os.getppid(), signal.SIGKILL)()
    os.setsid()
    for descriptor, place in enumerate(places, start=1):
        opened = os.open(place, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = ["tixxety", *arguments]
    from tixxety.entry_point import main

    main()


def run_command(*arguments: str, **variables: str) -> CompletedProcess[str]:
    """Run a command to its end."""
    with tempfile.TemporaryDirectory(prefix="tixxety-said-") as folder:
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        command = Command(list(arguments), variables, output, errors)
        try:
            code = command.wait()
        finally:
            command.kill()
        return CompletedProcess(arguments, code, output.read_text(), errors.read_text())
