"""`versions`: one event reserved in this tree's version and in that of another tree (`--other FOLDER`), in turn."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from bench import rushes
from bench.comparison import Comparison, Measured
from bench.context import Bench
from bench.rushes import Site

THIS, AGAIN, OTHER = "this tree", "this tree again (A/A)", "the other tree"
CONNECTIONS = 64
JUDGE = "import json, sys; from tests.proof.proof import faults; print(json.dumps(faults(sys.argv[1])))"


def measure(bench: Bench) -> list[Comparison]:
    """Reservations a second; the processor time beside them tells more on a machine with neighbours."""
    assert bench.other is not None
    with rushes.opened(bench.testbed) as this, rushes.opened(bench.testbed, tree=bench.other) as that:
        comparison = Comparison("versions: one event, 64 connections", "reservations/s", OTHER)
        runs = {THIS: partial(reserved, this), AGAIN: partial(reserved, this), OTHER: partial(reserved, that)}
        bench.warmed_in_turn(comparison, runs, this.database_url, that.database_url)
        comparison.faults_of_history = this.faults() + faults_in(bench.other, that)
    return [comparison]


def reserved(site: Site, seconds: float) -> Measured:
    """One rush."""
    return rushes.rush(site, [{"event_id": site.open_event()["id"]}], CONNECTIONS, seconds)


def faults_in(tree: Path, site: Site) -> list[str]:
    """All that is wrong with the other's history, judged by the other: its tables may have other columns."""
    site.head()
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, site.database_url], cwd=tree, capture_output=True, text=True, check=True
    )
    faults: list[str] = json.loads(done.stdout)
    return faults
