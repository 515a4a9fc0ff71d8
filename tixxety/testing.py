"""`tixxety test`: pytest over the clone, on a PostgreSQL that is made for the run and thrown away."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tixxety.embedded_postgres import EmbeddedPostgres
from tixxety.failures import Failure
from tixxety.settings import Settings
from tixxety.stop_signals import StopRequested, signal_exit_code

ROOT = Path(__file__).resolve().parent.parent
SERVER = "TEST_DATABASE_URL"
WELL_OR_NOT = (0, 1)
COULD_NOT = 2
GRACE_SECONDS = 10.0
RUNS_SERIALLY = ("-n", "--numprocesses", "--pdb", "--collect-only", "--co")


def run_tests(arguments: list[str]) -> int:
    """Run pytest with these arguments on all cores; returns the exit code. Only TEST_DATABASE_URL is heeded."""
    if not (ROOT / "tests").is_dir():
        raise Failure("The tests are part of a clone of the project, not of an installed copy.")
    environment = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    if url := os.environ.get(SERVER):
        return run_pytest(arguments, {**environment, SERVER: url})
    with tempfile.TemporaryDirectory(prefix="tixxety-test-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedPostgres(Path(folder) / "home", durable=False)
        try:
            return run_pytest(arguments, {**environment, SERVER: server.start()})
        finally:
            server.discard()


def run_pytest(arguments: list[str], environment: dict[str, str]) -> int:
    """Run pytest in the clone's root, in parallel unless the arguments say otherwise.

    Returns 0 or 1 where the tests ran, 2 where pytest could not run them, and 128 and the signal that has ended it.
    """
    serial = any(argument.startswith(RUNS_SERIALLY) for argument in arguments)
    # Neighbours, which may share a slow fixture, stay in one process; who has nothing left takes from the others.
    parallel = [] if serial else ["-n", str(os.cpu_count() or 1), "--dist", "worksteal"]
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
