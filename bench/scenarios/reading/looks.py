"""`looks`: a rush in which everybody looks at the event's page ten times for each reservation, beside the rush alone.

Looks take processor themselves, so reservations are counted per core that they leave over:

    reservations/s / (cores - looks/s * seconds of processor that a look takes alone)

What a look takes, the clients' part included, is measured just before, with nothing but looks; for the rush alone the
cores are all of the machine's. So 1 means that a look costs no more beside a rush than alone, and holds up nobody.
"""

import os
from collections.abc import Sequence

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Goal, Measured
from bench.context import Bench, Run
from bench.load import Load, request
from bench.testbed import Testbed

ALONE, LOOKS, CRUD = "the rush alone", "with ten looks a reservation", "CRUD, with ten looks a reservation"
CONNECTIONS, LOOKS_EACH = 64, 10
# More than either side sells beside so many looks, so that no buyer comes twice.
RESERVATIONS_PER_SECOND_MAX = 4_000
# What is left at the least, where neighbours make everything dearer than it is.
LEFT_CORES_MIN = 0.05


def measure(bench: Bench) -> list[Comparison]:
    """Reservations a second per core that the looks leave over."""
    testbed = bench.testbed
    cores = os.cpu_count() or 1
    with rushes.opened(testbed) as site, crud_rushes.opened(testbed) as crud:

        def alone(seconds: float) -> Measured:
            run = rushes.rush(site, [{"event_id": site.open_event()["id"]}], CONNECTIONS, seconds)
            return run._replace(figure=run.figure / cores, seen={"reservations_per_s": run.figure} | run.seen)

        def ours(seconds: float) -> Measured:
            return looked(testbed, site.url, site.open_event()["id"], seconds, cores)

        def theirs(seconds: float) -> Measured:
            return looked(testbed, crud.url, str(crud.open_event()), seconds, cores)

        goals = [Goal(LOOKS, ALONE, 0.8)]
        comparison = Comparison("looks: one event, 64 connections", "reservations/s per core left", ALONE, goals)
        runs: dict[str, Run] = {ALONE: alone, LOOKS: ours, CRUD: theirs}
        bench.warmed_in_turn(comparison, runs, site.database_url, crud.database_url)
        comparison.faults_of_history = site.faults() + crud.faults()
    return [comparison]


def looked(testbed: Testbed, url: str, event_id: str, seconds: float, cores: int) -> Measured:
    """Looks alone, for half as long, and then the rush with looks: each reservation, then its looks, in one order."""
    look = request("GET", url, f"/events/{event_id}")
    looks, look_us = under(testbed, url, [look], seconds / 2)
    wishes = rushes.wishes(
        url, testbed.tokens[1 : 2 + round(seconds * RESERVATIONS_PER_SECOND_MAX)], [{"event_id": event_id}]
    )
    both, spent = under(testbed, url, [each for wish in wishes for each in (wish, *[look] * LOOKS_EACH)], seconds)
    reservations = both.per_second / (1 + LOOKS_EACH)
    looks_each_second = both.per_second - reservations
    left = max(LEFT_CORES_MIN, cores - looks_each_second * (look_us["sum_us"] + look_us["clients_us"]) / 1e6)
    seen = {
        "reservations_per_s": reservations,
        "looks_per_s": looks_each_second,
        "left_cores": left,
        "look_alone_us": look_us["sum_us"] + look_us["clients_us"],
        "looks_alone_per_s": looks.per_second,
        "p50_ms": both.p50_ms,
        "p99_ms": both.p99_ms,
        "errors": both.refused + both.broken + looks.refused + looks.broken,
    }
    return Measured(reservations / left, seen | spent, [])


def under(testbed: Testbed, url: str, asked: Sequence[bytes], seconds: float) -> tuple[Load, dict[str, float]]:
    """What clients saw who asked this, and microseconds of processor time an answer."""
    (load,), spent = rushes.loaded(testbed, url, lambda: testbed.clients(url, asked, CONNECTIONS, seconds))
    return load, spent
