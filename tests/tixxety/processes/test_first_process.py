"""The command line as the first process of a container: here, of a process namespace of its own."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.running import ROOT, free_port, http, until_ready
from tests.tixxety.waiting_for_processes import until
from tixxety.processes.child_process import TiedProcess
from tixxety.processes.stop_signals import STOP_SIGNALS

SECRET = "a secret of thirty-two bytes, yes"
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
TIXXETY = [sys.executable, "-m", "tixxety"]


def may_unshare() -> bool:
    """Whether this machine lets us make process namespaces."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_unshare(), reason="this machine does not let us make a process namespace")


def variables(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "TIXXETY_NO_VENV": "1", **more}


def first_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as process 1."""
    return subprocess.run(
        [*UNSHARE, *TIXXETY, *arguments],
        cwd=ROOT,
        env=variables(**environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_it_migrates(empty_database_url: str) -> None:
    done = first_process("migrate", DATABASE_URL=empty_database_url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "The schema is current.\n", "")


def test_what_could_not_be_done_ends_with_2() -> None:
    done = first_process("migrate", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_serving_ends_when_it_is_asked_to_and_orphans_are_reaped(
    number: signal.Signals, database_url: str, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "serve.log"
    with log.open("wb") as output:
        outside = TiedProcess(
            [*UNSHARE, *TIXXETY, "serve", "--port", str(port)],
            when_orphaned=signal.SIGKILL,
            cwd=ROOT,
            env=variables(DATABASE_URL=database_url, JWT_SECRET=SECRET),
            stdout=output,
            stderr=output,
        )
    try:
        until_ready(f"http://127.0.0.1:{port}/health/live", (outside, log))
        (first,) = psutil.Process(outside.pid).children()
        leave_an_orphan(first.pid)
        until(lambda: len(first.children()) == 1)
        assert http().get(f"http://127.0.0.1:{port}/health/live").status_code == 200
        first.send_signal(number)
        assert outside.ends_within(30)
        assert outside.process.returncode == 0, log.read_text()
    finally:
        outside.stop()


def leave_an_orphan(first_pid: int) -> None:
    """As a health check does that is killed: a process whose parent ends before it, so that process 1 gets it."""
    enter = ["nsenter", "--target", str(first_pid), "--pid", "--mount"]
    subprocess.run([*enter, "sh", "-c", "sleep 0.2 & exit"], check=True, timeout=30)
    until(lambda: any(child.name() == "sleep" for child in psutil.Process(first_pid).children()))
