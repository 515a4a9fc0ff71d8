"""`rebuild`: 1,000,000 domain events folded into fresh tables, indexed, compared with the live ones and swapped in."""

import os
import subprocess
import sys
import time
from contextlib import suppress

import psutil

from bench.comparison import Comparison, Goal, Measured, in_turn
from bench.context import Bench
from bench.scenarios.history.fold import DOMAIN_EVENTS, fill, folded_by_worker
from bench.testbed import ROOT, connect
from bench.waiting_until_quiet import until_folded
from tests.proof.proof import faults

REBUILT, CAUGHT_UP = "tixxety rebuild", "a worker catches up from nothing"
MOST_SECONDS = 15.0
SAMPLE_SECONDS = 0.1
GENERATION = "SELECT generation FROM checkpoint"


def measure(bench: Bench) -> list[Comparison]:
    """Seconds from the command's start to its end, while a worker folds the live tables on."""
    testbed = bench.testbed
    database_url = testbed.database()
    fill(database_url, bench.scaled(DOMAIN_EVENTS))

    def rebuilt() -> Measured:
        with testbed.worker(database_url):
            until_folded(database_url)
            return rebuild(database_url)

    def caught_up() -> Measured:
        return Measured(folded_by_worker(testbed, database_url).seen["seconds"], {}, [])

    comparison = Comparison(
        f"rebuild: {bench.scaled(DOMAIN_EVENTS):,} domain events",
        "seconds, less is better",
        CAUGHT_UP,
        [Goal(REBUILT, None, MOST_SECONDS, at_least=False)] if bench.scale == 1 else [],
    )
    in_turn(comparison, {REBUILT: rebuilt, CAUGHT_UP: caught_up}, bench.few, bench.dice)
    comparison.faults_of_history = faults(database_url)
    testbed.drop(database_url)
    return [comparison]


def rebuild(database_url: str) -> Measured:
    """One run of the command, and the most memory that its process took; PostgreSQL's is not among it."""
    with connect(database_url) as connection:
        before = connection.execute(GENERATION).fetchall()
    environment = os.environ | {"DATABASE_URL": database_url, "TIXXETY_NO_VENV": "1"}
    command = [sys.executable, "-m", "tixxety", "rebuild", "--json"]
    began = time.monotonic()
    process = psutil.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak_bytes = 0
    while process.poll() is None:
        with suppress(psutil.Error):
            peak_bytes = max(peak_bytes, process.memory_info().rss)
        time.sleep(SAMPLE_SECONDS)
    seconds = time.monotonic() - began
    with connect(database_url) as connection:
        swapped = connection.execute(GENERATION).fetchall() != before
    wrong = [] if process.returncode == 0 and swapped else [f"the rebuild ended with {process.returncode}"]
    return Measured(seconds, {"peak_mb": peak_bytes / 2**20}, wrong)
