"""`two-processes`: the same hot event answered by two API processes, over 256 connections."""

from contextlib import ExitStack

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Goal, Measure, in_turn
from bench.context import Bench

TWO, ONE, CRUD = "tixxety, 2 processes", "tixxety, 1 process", "CRUD, 2 processes"
CONNECTIONS = 256


def measure(bench: Bench) -> list[Comparison]:
    """Reservations a second."""
    testbed, seconds = bench.testbed, bench.seconds
    with ExitStack() as stack:
        two = stack.enter_context(rushes.opened(testbed, processes=2))
        one = rushes.Site(testbed, stack.enter_context(testbed.api(two.database_url)), two.database_url)
        crud = stack.enter_context(crud_rushes.opened(testbed, processes=2))

        def ours(site: rushes.Site, seconds: float = seconds) -> Measure:
            return lambda: rushes.rush(site, [{"event_id": site.open_event()["id"]}], CONNECTIONS, seconds)

        for site in (two, one):
            ours(site, bench.warm_seconds)()
        variants = {TWO: ours(two), ONE: ours(one), CRUD: lambda: crud.rush(CONNECTIONS, seconds)}
        goals = [Goal(TWO, CRUD, 5.0), Goal(TWO, ONE, 1.0)]
        comparison = Comparison("two-processes: one event, 2 processes, 256 connections", "reservations/s", CRUD, goals)
        in_turn(comparison, variants, bench.repeats, bench.dice)
        comparison.faults_of_history = two.faults()
    return [comparison]
