"""`versions`: one event reserved in this tree's version and in that of another tree (`--other FOLDER`), in turn."""

from functools import partial

from bench import rushes
from bench.comparison import Comparison, Measured
from bench.context import Bench
from bench.rushes import Site

THIS, AGAIN, OTHER = "this tree", "this tree again (A/A)", "the other tree"
CONNECTIONS = 64


def measure(bench: Bench) -> list[Comparison]:
    """Reservations a second; the processor time beside them tells more on a machine with neighbours."""
    assert bench.other is not None
    with rushes.opened(bench.testbed) as this, rushes.opened(bench.testbed, tree=bench.other) as that:
        comparison = Comparison("versions: one event, 64 connections", "reservations/s", OTHER)
        runs = {THIS: partial(reserved, this), AGAIN: partial(reserved, this), OTHER: partial(reserved, that)}
        bench.warmed_in_turn(comparison, runs, this.database_url, that.database_url)
        comparison.faults_of_history = this.faults() + that.faults()
    return [comparison]


def reserved(site: Site, seconds: float) -> Measured:
    """One rush."""
    return rushes.rush(site, [{"event_id": site.open_event()["id"]}], CONNECTIONS, seconds)
