"""`start`: how long `tixxety up` takes on a home that exists until it is ready, and how long `tixxety --help` takes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.comparison import Comparison, Goal, Measured, in_turn
from bench.context import Bench
from bench.testbed import ROOT, free_port, until_answered
from tixxety.embedded.server import EmbeddedPostgres
from tixxety.processes.child_process import TiedProcess

UP, POSTGRES = "tixxety up", "its PostgreSQL alone"
HELP, PYTHON = "tixxety --help", "a Python that does nothing"


def measure(bench: Bench) -> list[Comparison]:
    """Seconds."""
    home = bench.testbed.folder / "home of up"
    up(home)  # makes the home, which is not what is measured
    ready = Comparison("start: a home that exists", "seconds, less is better", POSTGRES, [most(UP, 3.0)])
    in_turn(ready, {UP: lambda: up(home), POSTGRES: lambda: postgres(home)}, bench.repeats, bench.dice)
    throw_away(home)
    said = Comparison("start: the command line", "seconds, less is better", PYTHON, [most(HELP, 0.4)])
    commands = {HELP: ["-m", "tixxety", "--help"], PYTHON: ["-c", "pass"]}
    runs = {name: lambda each=each: ran(each) for name, each in commands.items()}
    in_turn(said, runs, bench.repeats, bench.dice)
    return [ready, said]


def most(variant: str, seconds: float) -> Goal:
    """No more than that."""
    return Goal(variant, None, seconds, at_least=False)


def up(home: Path) -> Measured:
    """From the command to the first green readiness; afterwards it is stopped."""
    port = free_port()
    command = [sys.executable, "-m", "tixxety", "up", "--home", str(home), "--port", str(port)]
    log = home.with_suffix(".log")
    with log.open("wb") as output:
        began = time.monotonic()
        process = TiedProcess(
            command, when_orphaned=signal.SIGTERM, cwd=ROOT, env=environment(), stdout=output, stderr=output
        )
        try:
            until_answered(f"http://127.0.0.1:{port}", "/health/ready", process)
            return Measured(time.monotonic() - began, {}, [])
        finally:
            process.stop((signal.SIGTERM, 30.0))


def postgres(home: Path) -> Measured:
    """The same home's server until it answers, without any other process of ours."""
    server = EmbeddedPostgres(home)
    began = time.monotonic()
    try:
        server.start()
        return Measured(time.monotonic() - began, {}, [])
    finally:
        server.stop()


def throw_away(home: Path) -> None:
    """Delete its database, which may lie elsewhere than the home."""
    server = EmbeddedPostgres(home)
    server.start()
    server.discard()


def ran(arguments: list[str]) -> Measured:
    """A Python with these arguments, from its start to its end."""
    began = time.monotonic()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, check=True)
    return Measured(time.monotonic() - began, {}, [])


def environment() -> dict[str, str]:
    """Nothing but where programs are."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "TIXXETY_NO_VENV": "1"}
