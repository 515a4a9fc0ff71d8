"""`sold-out`: nine of ten ask for what is gone, the tenth gets a ticket of the same event."""

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Measured
from bench.context import Bench

CONNECTIONS, ASKED_FOR_EACH_TICKET = 64, 10


def measure(bench: Bench) -> list[Comparison]:
    """Answers a second, nine tenths of them refusals."""
    with rushes.opened(bench.testbed) as site, crud_rushes.opened(bench.testbed) as crud:

        def ours(seconds: float) -> Measured:
            bodies = rushes.sold_out_but_one_in(site, ASKED_FOR_EACH_TICKET)
            return rushes.rush(site, bodies, CONNECTIONS, seconds, refusals_expected=True)

        def theirs(seconds: float) -> Measured:
            event_ids = [crud.open_event(0)] * (ASKED_FOR_EACH_TICKET - 1) + [crud.open_event()]
            return crud.rush(CONNECTIONS, seconds, event_ids, refusals_expected=True)

        comparison = Comparison("sold-out: 90 % refusals, 64 connections", "answers/s", "CRUD")
        bench.warmed_in_turn(comparison, {"tixxety": ours, "CRUD": theirs}, site.database_url, crud.database_url)
        comparison.faults_of_history = site.faults()
    return [comparison]
