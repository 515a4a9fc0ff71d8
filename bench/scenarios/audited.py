"""`audited`: what sealing and keeping refusals cost a rush, all accepted and nine of ten refused."""

from contextlib import ExitStack

from bench import rushes
from bench.comparison import Comparison, Goal, Measure, in_turn
from bench.context import Bench
from bench.rushes import Site

CONNECTIONS, ASKED_FOR_EACH_TICKET = 64, 10
OURS, AGAIN, WITHOUT = "tixxety", "tixxety again (A/A)", "without seals and refusals"


def measure(bench: Bench) -> list[Comparison]:
    """Answers a second, with and without."""
    with ExitStack() as stack:
        audited = stack.enter_context(rushes.opened(bench.testbed))
        unaudited = stack.enter_context(rushes.opened(bench.testbed, audited=False))

        def accepted(site: Site) -> Measure:
            return lambda: rushes.rush(site, [{"event_id": site.open_event()["id"]}], CONNECTIONS, bench.seconds)

        def refused(site: Site) -> Measure:
            return lambda: rushes.rush(
                site,
                rushes.sold_out_but_one_in(site, ASKED_FOR_EACH_TICKET),
                CONNECTIONS,
                bench.seconds,
                refusals_expected=True,
            )

        comparisons = []
        for what, measured in (("all accepted", accepted), ("90 % refused", refused)):
            comparison = Comparison(
                f"audited: {what}, 64 connections", "answers/s", WITHOUT, [Goal(OURS, WITHOUT, 0.9)]
            )
            variants = {OURS: measured(audited), AGAIN: measured(audited), WITHOUT: measured(unaudited)}
            for site in (audited, unaudited):
                measured(site)()
            in_turn(comparison, variants, bench.repeats, bench.dice)
            comparison.faults_of_history = audited.faults() + unaudited.faults()
            comparisons.append(comparison)
    return comparisons
