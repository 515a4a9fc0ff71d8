"""`fold`: the projections catch up with 1,000,000 domain events, and how far they lag in a rush."""

import asyncio
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
from psycopg import sql

from bench import rushes
from bench.comparison import Comparison, Goal, Measured, in_turn
from bench.context import Bench, Run
from bench.filling import filling
from bench.testbed import Testbed, connect
from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import connect as connect_async
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from projections.projector.projector import FOLD_SETTINGS
from projections.queries.reservations_queries import READINESS, readiness_values
from projections.tables.all_tables import TABLES
from tests.proof.proof import faults

OURS, ONE_BY_ONE = "tixxety", "one command a transaction"
RUSHED, QUIET = "in a rush, 64 connections", "200 reservations/s"
DOMAIN_EVENTS, EVENTS = 1_000_000, 50
ONE_BY_ONE_SECONDS = 3.0
SAMPLE_SECONDS = 0.005
QUIET_PER_SECOND = 200

EMPTY = sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(sql.Identifier(table.name) for table in TABLES))
BEGIN_AGAIN = "UPDATE checkpoint SET position = 0"
SAMPLE = "SELECT (SELECT max(notification_id) FROM stored_events), position FROM checkpoint"


def measure(bench: Bench) -> list[Comparison]:
    """Domain events a second from nothing to the head, in a process of their own; and milliseconds of lag."""
    return [catching_up(bench), lagging(bench)]


def catching_up(bench: Bench) -> Comparison:
    """Folding from empty tables is also what making them anew costs."""
    testbed = bench.testbed
    database_url = testbed.database()
    fill(database_url, bench.scaled(DOMAIN_EVENTS))

    def ours() -> Measured:
        return folded_by_worker(testbed, database_url)

    def one_by_one() -> Measured:
        empty(database_url)
        return asyncio.run(fold_one_by_one(database_url, min(ONE_BY_ONE_SECONDS, bench.seconds)))

    comparison = Comparison(
        f"fold: catching up with {bench.scaled(DOMAIN_EVENTS):,} domain events",
        "domain events/s",
        ONE_BY_ONE,
        [Goal(OURS, None, 50_000.0)],
    )
    in_turn(comparison, {OURS: ours, ONE_BY_ONE: one_by_one}, bench.few, bench.dice)
    folded_by_worker(testbed, database_url)
    comparison.faults_of_history = faults(database_url)
    testbed.drop(database_url)
    return comparison


def fill(database_url: str, domain_events: int) -> None:
    """Half of the reservations are paid: three domain events a reservation on average."""
    now = datetime.now(UTC)
    with filling(database_url) as filled:
        events = [filled.open_event(now) for _ in range(EVENTS)]
        number = 0
        while filled.position < domain_events:
            filled.reserve(events[number % EVENTS], uuid4(), now, pay=number % 2 == 0)
            number += 1


def empty(database_url: str) -> None:
    """No row, and position 0."""
    with connect(database_url) as connection:
        connection.execute(EMPTY)
        connection.execute(BEGIN_AGAIN)


def runner_works(connection: psycopg.Connection) -> bool:
    """Whether a worker's runner has the lock and folds."""
    return bool(connection.execute(READINESS, readiness_values(BoxOffice())).fetchall()[0][2])


def folded_by_worker(testbed: Testbed, database_url: str) -> Measured:
    """A worker that starts with empty tables; timed from when its runner has the lock."""
    empty(database_url)
    with testbed.worker(database_url), connect(database_url) as connection:
        connection.autocommit = True
        began, (head, folded) = 0.0, (1, 0)
        while folded < head:
            connection.execute("SELECT pg_sleep(0.002)")
            ((head, folded),) = connection.execute(SAMPLE).fetchall()
            if not began and runner_works(connection):
                began = time.monotonic()
        seconds = time.monotonic() - began
    return Measured(head / seconds, {"seconds": seconds}, [])


async def fold_one_by_one(database_url: str, seconds: float) -> Measured:
    """As the library's runner does it: each command in a transaction of its own."""
    async with await connect_async(database_url, **FOLD_SETTINGS) as connection:
        batches = Batches(connection, await checkpoint.read(connection))
        began = time.monotonic()
        while time.monotonic() - began < seconds and await batches.fold_next(1):
            pass
        took = time.monotonic() - began
    return Measured(batches.position / took, {"seconds": took}, [])


def lagging(bench: Bench) -> Comparison:
    """The 99th percentile of how long a domain event waits to be folded."""
    with rushes.opened(bench.testbed) as site:

        def lag(seconds: float, pace: float = 0) -> Measured:
            wish = {"event_id": site.open_event()["id"]}
            samples: list[tuple[float, int, int]] = []
            watched = sampling(site.database_url, samples)
            rushed = rushes.rush(site, [wish], 64, seconds, pace=pace, watched=watched)
            lags = lags_ms(samples)
            seen = {"p50_ms": lags[len(lags) // 2], "most_ms": lags[-1], "reserved_per_s": rushed.figure}
            return Measured(lags[len(lags) * 99 // 100], seen, rushed.faults)

        comparison = Comparison(
            "fold: lag of the projections",
            "ms at p99, less is better",
            QUIET,
            [Goal(RUSHED, None, 250.0, at_least=False)],
        )
        runs: dict[str, Run] = {RUSHED: lag, QUIET: lambda seconds: lag(seconds / 3, QUIET_PER_SECOND)}
        bench.warmed_in_turn(comparison, runs, site.database_url)
        comparison.faults_of_history = site.faults()
    return comparison


@contextmanager
def sampling(database_url: str, samples: list[tuple[float, int, int]]) -> Iterator[None]:
    """Collect (time, head, checkpoint) every few milliseconds, until the block has ended and all is folded."""
    is_over = threading.Event()

    def sample() -> None:
        with connect(database_url) as connection:
            connection.autocommit = True
            while not is_over.wait(SAMPLE_SECONDS) or samples[-1][1] > samples[-1][2]:
                ((head, folded),) = connection.execute(SAMPLE).fetchall()
                samples.append((time.monotonic(), head or 0, folded))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def lags_ms(samples: list[tuple[float, int, int]]) -> list[float]:
    """For each head that was seen, how long until the checkpoint had reached it; in order of size.

    From the first time that anything had to be folded to the last: what is quiet before and after tells nothing.
    """
    folded = [checkpoint for _, _, checkpoint in samples]
    behind = [index for index, (_, head, checkpoint) in enumerate(samples) if head > checkpoint]
    lags = []
    for at, head, _ in samples[behind[0] : behind[-1] + 1]:
        reached = bisect_left(folded, head)
        if reached < len(samples):
            lags.append(max(0.0, (samples[reached][0] - at) * 1e3))
    return sorted(lags)
