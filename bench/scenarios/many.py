"""`many`: the rush goes to 100 events at once."""

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Measured, in_turn
from bench.context import Bench

EVENTS, CONNECTIONS = 100, 64


def measure(bench: Bench) -> list[Comparison]:
    """Reservations a second."""
    with rushes.opened(bench.testbed) as site, crud_rushes.opened(bench.testbed) as crud:

        def ours(seconds: float = bench.seconds) -> Measured:
            bodies = [{"event_id": site.open_event()["id"]} for _ in range(EVENTS)]
            return rushes.rush(site, bodies, CONNECTIONS, seconds)

        def theirs() -> Measured:
            return crud.rush(CONNECTIONS, bench.seconds, [crud.open_event() for _ in range(EVENTS)])

        ours(bench.warm_seconds)
        comparison = Comparison("many: 100 events, 64 connections", "reservations/s", "CRUD")
        in_turn(comparison, {"tixxety": ours, "CRUD": theirs}, bench.repeats, bench.dice)
        comparison.faults_of_history = site.faults()
    return [comparison]
