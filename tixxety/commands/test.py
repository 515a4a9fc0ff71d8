"""`tixxety test`: pytest over the clone, on a PostgreSQL that is made for the run and thrown away."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tixxety.embedded.server import EmbeddedPostgres
from tixxety.errors import Failure
from tixxety.processes.stop_signals import StopRequested, signal_exit_code
from tixxety.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SERVER = "TEST_DATABASE_URL"
WELL_OR_NOT = (0, 1)
COULD_NOT = 2
MEMORY = Path("/dev/shm")  # noqa: S108
MEMORY_BYTES = 4_000_000_000
GRACE_SECONDS = 10.0
NOTHING: Mapping[str, str] = {}
RUNS_SERIALLY = ("-n", "--numprocesses", "--pdb", "--collect-only", "--co")


def main(arguments: Sequence[str]) -> int:
    """Run the tests on a PostgreSQL of their own; what follows is pytest's.

    They run on all cores; of the settings only TEST_DATABASE_URL is heeded. Returns the exit code.
    """
    if not (ROOT / "tests").is_dir():
        raise Failure("The tests are part of a clone of the project, not of an installed copy.")
    if url := os.environ.get(SERVER):
        return run_pytest(arguments, url)
    with tempfile.TemporaryDirectory(prefix="tixxety-test-", dir=memory(), ignore_cleanup_errors=True) as folder:
        # PostgreSQL's own account enters it when root runs the tests.
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "home", durable=False)
        try:
            # Without its parameters, to which tests add their own.
            return run_pytest(arguments, server.start().partition("?")[0], {"TMPDIR": folder})
        finally:
            server.discard()


def memory() -> Path | None:
    """A folder that lies in memory; None where there is none, or not enough of it.

    A database a test is some 400 files, which on a disk's journal take ten times as much processor, two at once.
    """
    try:
        enough = shutil.disk_usage(MEMORY).free > MEMORY_BYTES and psutil.virtual_memory().available > MEMORY_BYTES
    except OSError:
        return None
    return MEMORY if enough and os.access(MEMORY, os.W_OK | os.X_OK) else None


def run_pytest(arguments: Sequence[str], server_url: str, more: Mapping[str, str] = NOTHING) -> int:
    """Run pytest in the clone's root, with `more` in its environment, in parallel unless the arguments say otherwise.

    Returns 0 or 1 where the tests ran, 2 where pytest could not run them, and 128 and the signal that has ended it.
    """
    environment = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    environment |= {SERVER: server_url, **more}
    serial = any(argument.startswith(RUNS_SERIALLY) for argument in arguments)
    # One more than there are cores, since many tests wait for something. Neighbours, which may share a slow fixture,
    # stay in one process; who has nothing left takes from the others.
    parallel = [] if serial else ["-n", str(1 + (os.cpu_count() or 1)), "--dist", "worksteal"]
    command = [sys.executable, "-m", "pytest", *parallel, *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as pytest:
        try:
            code = pytest.wait()
        except StopRequested:
            # On a terminal pytest was interrupted as well, and is about to sum up.
            pytest.terminate()
            try:
                pytest.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                pytest.kill()
            raise
    if code < 0:
        return signal_exit_code(-code)
    return code if code in WELL_OR_NOT else COULD_NOT
