"""`many`: the rush goes to 100 events at once."""

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Measured
from bench.context import Bench

EVENTS, CONNECTIONS = 100, 64


def measure(bench: Bench) -> list[Comparison]:
    """Reservations a second."""
    with rushes.opened(bench.testbed) as site, crud_rushes.opened(bench.testbed) as crud:

        def ours(seconds: float) -> Measured:
            bodies = [{"event_id": site.open_event()["id"]} for _ in range(EVENTS)]
            return rushes.rush(site, bodies, CONNECTIONS, seconds)

        def theirs(seconds: float) -> Measured:
            return crud.rush(CONNECTIONS, seconds, [crud.open_event() for _ in range(EVENTS)])

        comparison = Comparison("many: 100 events, 64 connections", "reservations/s", "CRUD")
        bench.warmed_in_turn(comparison, {"tixxety": ours, "CRUD": theirs}, site.database_url, crud.database_url)
        comparison.faults_of_history = site.faults()
    return [comparison]
