"""`paced`: buyers of one event come at a pace of their own, whether those before them were answered or not."""

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Measured
from bench.context import Bench, Run

PER_SECOND, CONNECTIONS = 1_000, 64


def measure(bench: Bench) -> list[Comparison]:
    """The slowest hundredth, in milliseconds from when the request was due, not from when a connection was free."""
    with rushes.opened(bench.testbed) as site, crud_rushes.opened(bench.testbed) as crud:

        def ours(seconds: float) -> Measured:
            wish = {"event_id": site.open_event()["id"]}
            return by_slowest(rushes.rush(site, [wish], CONNECTIONS, seconds, pace=PER_SECOND))

        def theirs(seconds: float) -> Measured:
            return by_slowest(crud.rush(CONNECTIONS, seconds, pace=PER_SECOND))

        comparison = Comparison(f"paced: {PER_SECOND:,} buyers a second", "ms at p99, less is better", "CRUD")
        runs: dict[str, Run] = {"tixxety": ours, "CRUD": theirs}
        bench.warmed_in_turn(comparison, runs, site.database_url, crud.database_url)
        comparison.faults_of_history = site.faults()
    return [comparison]


def by_slowest(run: Measured) -> Measured:
    """The same run with p99 as its figure."""
    return run._replace(figure=run.seen["p99_ms"], seen={"answers_per_s": run.figure} | run.seen)
