"""`hot`: everybody wants the same event, over 64 connections and over 256, one process each."""

from contextlib import ExitStack

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Goal, Measure, in_turn
from bench.context import Bench

OURS, AGAIN, UNSEEN = "tixxety", "tixxety again (A/A)", "tixxety, new tokens"
CRUD, ORDINARY, STORELESS = "CRUD", "ordinary route", "store taken out"


def measure(bench: Bench) -> list[Comparison]:
    """Reservations a second."""
    testbed, seconds = bench.testbed, bench.seconds
    with ExitStack() as stack:
        site = stack.enter_context(rushes.opened(testbed))
        crud = stack.enter_context(crud_rushes.opened(testbed))
        ordinary = stack.enter_context(testbed.baseline("bare_fastapi", site.database_url))
        storeless = stack.enter_context(testbed.baseline("store_taken_out", site.database_url))

        def ours(connections: int, tokens: list[str] | None = None) -> Measure:
            return lambda: rushes.rush(
                site, [{"event_id": site.open_event()["id"]}], connections, seconds, tokens=tokens
            )

        # A buyer's first request is seldom the one to reserve, so its token was seen; a variant shows what it costs.
        ours(64)()
        narrow = {
            OURS: ours(64),
            AGAIN: ours(64),
            UNSEEN: lambda: ours(64, rushes.unseen_tokens(testbed))(),
            CRUD: lambda: crud.rush(64, seconds),
            ORDINARY: lambda: rushes.rush_baseline(testbed, ordinary, 64, seconds),
            STORELESS: lambda: rushes.rush_baseline(testbed, storeless, 64, seconds),
        }
        goals = [Goal(OURS, CRUD, 3.0), Goal(OURS, ORDINARY, 1.0), Goal(OURS, STORELESS, 0.6)]
        first = Comparison("hot: one event, 64 connections", "reservations/s", CRUD, goals)
        in_turn(first, narrow, bench.repeats, bench.dice)

        wide = {OURS: ours(256), CRUD: lambda: crud.rush(256, seconds)}
        second = Comparison("hot: one event, 256 connections", "reservations/s", CRUD)
        in_turn(second, wide, bench.repeats, bench.dice)
        first.faults_of_history = second.faults_of_history = site.faults()
    return [first, second]
