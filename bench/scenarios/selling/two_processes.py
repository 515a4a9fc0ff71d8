"""`two-processes`: the same hot event answered by two API processes, over 256 connections."""

from contextlib import ExitStack
from functools import partial

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Goal
from bench.context import Bench, Run

TWO, ONE, CRUD = "tixxety, 2 processes", "tixxety, 1 process", "CRUD, 2 processes"
CONNECTIONS = 256


def measure(bench: Bench) -> list[Comparison]:
    """Reservations a second."""
    testbed = bench.testbed
    with ExitStack() as stack:
        two = stack.enter_context(rushes.opened(testbed, processes=2))
        one = rushes.Site(testbed, stack.enter_context(testbed.api(two.database_url)), two.database_url)
        crud = stack.enter_context(crud_rushes.opened(testbed, processes=2))

        def ours(site: rushes.Site) -> Run:
            return lambda seconds: rushes.rush(site, [{"event_id": site.open_event()["id"]}], CONNECTIONS, seconds)

        runs: dict[str, Run] = {TWO: ours(two), ONE: ours(one), CRUD: partial(crud.rush, CONNECTIONS)}
        goals = [Goal(TWO, CRUD, 4.5), Goal(TWO, ONE, 1.0)]
        comparison = Comparison("two-processes: one event, 2 processes, 256 connections", "reservations/s", CRUD, goals)
        bench.warmed_in_turn(comparison, runs, two.database_url, crud.database_url)
        comparison.faults_of_history = two.faults()
    return [comparison]
