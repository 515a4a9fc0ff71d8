"""`audited`: what sealing and keeping refusals cost a rush, all accepted and nine of ten refused."""

from contextlib import ExitStack

from bench import rushes
from bench.comparison import Comparison, Goal
from bench.context import Bench, Run
from bench.rushes import Site

CONNECTIONS, ASKED_FOR_EACH_TICKET = 64, 10
OURS, AGAIN, WITHOUT = "tixxety", "tixxety again (A/A)", "without seals and refusals"


def measure(bench: Bench) -> list[Comparison]:
    """Answers a second, with and without."""
    with ExitStack() as stack:
        audited = stack.enter_context(rushes.opened(bench.testbed))
        unaudited = stack.enter_context(rushes.opened(bench.testbed, audited=False))

        def accepted(site: Site) -> Run:
            return lambda seconds: rushes.rush(site, [{"event_id": site.open_event()["id"]}], CONNECTIONS, seconds)

        def refused(site: Site) -> Run:
            return lambda seconds: rushes.rush(
                site,
                rushes.sold_out_but_one_in(site, ASKED_FOR_EACH_TICKET),
                CONNECTIONS,
                seconds,
                refusals_expected=True,
            )

        comparisons = []
        for what, measured in (("all accepted", accepted), ("90 % refused", refused)):
            comparison = Comparison(
                f"audited: {what}, 64 connections", "answers/s", WITHOUT, [Goal(OURS, WITHOUT, 0.9)]
            )
            variants = {OURS: measured(audited), AGAIN: measured(audited), WITHOUT: measured(unaudited)}
            bench.warmed_in_turn(comparison, variants, audited.database_url, unaudited.database_url)
            comparison.faults_of_history = audited.faults() + unaudited.faults()
            comparisons.append(comparison)
    return comparisons
