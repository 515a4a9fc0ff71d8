"""`hot`: everybody wants the same event, over 64 connections and over 256, one process each."""

from contextlib import ExitStack
from functools import partial

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Goal, Measured
from bench.context import Bench, Run

OURS, AGAIN, UNSEEN = "tixxety", "tixxety again (A/A)", "tixxety, new tokens"
CRUD, ORDINARY, STORELESS = "CRUD", "ordinary route", "store taken out"


def measure(bench: Bench) -> list[Comparison]:
    """Reservations a second."""
    testbed = bench.testbed
    with ExitStack() as stack:
        site = stack.enter_context(rushes.opened(testbed))
        crud = stack.enter_context(crud_rushes.opened(testbed))
        ordinary = stack.enter_context(testbed.baseline("bare_fastapi", site.database_url))
        storeless = stack.enter_context(testbed.baseline("store_taken_out", site.database_url))

        def ours(connections: int) -> Run:
            return lambda seconds: rushes.rush(site, [{"event_id": site.open_event()["id"]}], connections, seconds)

        def unseen(seconds: float) -> Measured:
            """A buyer's first request is seldom the one to reserve, so its token was seen; this is what that saves."""
            tokens = rushes.unseen_tokens(testbed)
            return rushes.rush(site, [{"event_id": site.open_event()["id"]}], 64, seconds, tokens=tokens)

        narrow: dict[str, Run] = {
            OURS: ours(64),
            AGAIN: ours(64),
            UNSEEN: unseen,
            CRUD: partial(crud.rush, 64),
            ORDINARY: partial(rushes.rush_baseline, testbed, ordinary, 64),
            STORELESS: partial(rushes.rush_baseline, testbed, storeless, 64),
        }
        goals = [
            Goal(OURS, None, 150.0, at_least=False, seen="sum_us"),
            Goal(OURS, CRUD, 3.0),
            Goal(OURS, ORDINARY, 1.0),
            Goal(OURS, STORELESS, 0.6),
        ]
        databases = (site.database_url, crud.database_url)
        first = Comparison("hot: one event, 64 connections", "reservations/s", CRUD, goals)
        bench.warmed_in_turn(first, narrow, *databases)

        wide: dict[str, Run] = {OURS: ours(256), CRUD: partial(crud.rush, 256)}
        second = Comparison("hot: one event, 256 connections", "reservations/s", CRUD)
        bench.warmed_in_turn(second, wide, *databases)
        first.faults_of_history = second.faults_of_history = site.faults()
    return [first, second]
