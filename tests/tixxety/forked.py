"""The command line in processes forked from one that has loaded it already, which spares each of them a second."""

import json
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from threading import Thread

from tests.running import ROOT
from tixxety.commands.all_commands import COMMANDS, module_of
from tixxety.processes.child_process import LIBC, tie_to_parent

FORKS = multiprocessing.get_context("forkserver")
# What runs its own tests in here has pytest as its main module.
COMMAND_MODULES = {module_of(name) for name in COMMANDS}
FORKS.set_forkserver_preload(["pytest", *sorted(COMMAND_MODULES), "tixxety.serving.api_process"])
SECONDS_MAX = 120.0
STOP_SECONDS = 20.0
LONGEST_TYPED = 1 << 20
# What a shell types instead of `python -m tixxety`: hands over all that a process gets, and ends as that process does.
TYPED = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    typed = json.dumps([sys.argv[2:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(server, [typed], [0, 1, 2])
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(16)))
"""


class Command:
    """`tixxety` with these arguments, with exactly these variables and PATH; what it says goes to two files."""

    def __init__(self, arguments: list[str], variables: Mapping[str, str], output: Path, errors: Path) -> None:
        environment = {"PATH": os.environ["PATH"], "TIXXETY_NO_VENV": "1", **variables}
        for path in (output, errors):
            path.write_bytes(b"")
        with Path(os.devnull).open("rb") as nothing, output.open("ab") as said, errors.open("ab") as complained:
            files = [file.fileno() for file in (nothing, said, complained)]
            self.process = fork(arguments, environment, str(ROOT), files)
        self.errors = errors

    @property
    def pid(self) -> int:
        """The process id, also after the end."""
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        """Its exit code, or a signal's negative number; None while it runs."""
        return self.process.exitcode

    def ends_within(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it came."""
        self.process.join(seconds)
        return self.poll() is not None

    def wait(self, seconds: float = SECONDS_MAX) -> int:
        """Its exit code, after the end."""
        assert self.ends_within(seconds), f"process {self.pid} still runs after {seconds} s"
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that is gone is left alone."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Have the kernel end it, if it still runs."""
        self.send_signal(signal.SIGKILL)


def fork(arguments: list[str], environment: dict[str, str], folder: str, files: list[int]) -> BaseProcess:
    """The command in a process of its own that has begun; its files are copies of those."""
    with ExitStack() as copies:
        handed = [copies.enter_context(Connection(os.dup(file))) for file in files]
        process = FORKS.Process(target=be_the_command, args=(arguments, environment, folder, handed))
        process.start()
    return process


def be_the_command(arguments: list[str], environment: dict[str, str], folder: str, files: list[Connection]) -> None:
    """Become what `python -m tixxety` would be at this point; gone when the tests are, also by kill -9."""
    if LIBC is not None:
        tie_to_parent(LIBC, os.getppid(), signal.SIGKILL)()
    os.setsid()
    for descriptor, file in enumerate(files):
        os.dup2(file.fileno(), descriptor)
        file.close()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
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


@contextmanager
def running_command(arguments: list[str], variables: Mapping[str, str], log: Path) -> Iterator[Command]:
    """A command that is stopped with the block; all it says goes to `log`."""
    command = Command(arguments, variables, log, log)
    try:
        yield command
    finally:
        command.send_signal(signal.SIGTERM)
        if not command.ends_within(STOP_SECONDS):
            command.kill()


@contextmanager
def typed_words() -> Iterator[str]:
    """The words that a shell may type in the block instead of `python -m tixxety`; one command at a time."""
    # A socket's path may not be long, as that of a test's own folder is.
    with tempfile.TemporaryDirectory(prefix="tixxety-typed-") as folder, socket.socket(socket.AF_UNIX) as server:
        place, typed = Path(folder) / "socket", Path(folder) / "typed.py"
        typed.write_text(TYPED)
        server.bind(str(place))
        server.listen()
        thread = Thread(target=fork_what_is_typed, args=(server,))
        thread.start()
        try:
            # Without `site` it starts in no time.
            yield f"{sys.executable} -S {typed} {place}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def fork_what_is_typed(server: socket.socket) -> None:
    """Fork a command for each that connects, and tell it the exit code, until the server is shut down."""
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            data, files, _, _ = socket.recv_fds(client, LONGEST_TYPED, 3)
            while more := client.recv(LONGEST_TYPED):
                data += more
            process = fork(*json.loads(data), files)
            for file in files:
                os.close(file)
            process.join(SECONDS_MAX)
            client.sendall(str(process.exitcode).encode())
