"""`memory`: what the API keeps of 10,000 events, and of one event with 1,000,000 tickets sold."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from uuid import uuid4

import psutil
from psycopg_pool import AsyncConnectionPool

from bench.comparison import Comparison, Goal, Measured, in_turn
from bench.context import Bench
from bench.filling import Filling
from bench.testbed import ROOT
from eventstore.postgres.connections import Connection
from eventstore.writing.aggregate_cache import AggregateCache

EVENTS, TICKETS = 10_000, 1_000_000
MEGABYTE = 1_000_000


def measure(bench: Bench) -> list[Comparison]:
    """Megabytes of resident memory, against what the cache believes that it holds: its bound rests on that."""
    comparisons = []
    for name, kind, count in (
        (f"memory: {bench.scaled(EVENTS):,} events in the cache", "events", bench.scaled(EVENTS)),
        (f"memory: one event with {bench.scaled(TICKETS):,} tickets paid", "paid", bench.scaled(TICKETS)),
        (f"memory: one event with {bench.scaled(TICKETS // 10):,} tickets held", "held", bench.scaled(TICKETS // 10)),
    ):
        believed: list[float] = []

        def resident(kind: str = kind, count: int = count, believed: list[float] = believed) -> Measured:
            command = [sys.executable, "-m", "bench.scenarios.running.memory", kind, str(count)]
            told = json.loads(subprocess.check_output(command, cwd=ROOT))
            believed.append(told["believed_bytes"] / MEGABYTE)
            return Measured(told["resident_bytes"] / MEGABYTE, {"bytes_each": told["resident_bytes"] / count}, [])

        goals = [Goal("resident", "believed", 1.1, at_least=False)] if bench.scale == 1 else []
        comparison = Comparison(name, "MB", "believed", goals)
        in_turn(comparison, {"resident": resident}, 1, bench.dice)
        comparison.runs["believed"] = [Measured(megabytes, {}, []) for megabytes in believed]
        comparisons.append(comparison)
    return comparisons


def fill(kind: str, count: int, aggregates: AggregateCache) -> None:
    """Put so many events, or one event with so many tickets, into the cache."""
    now = datetime.now(UTC)
    filled = Filling(lambda row: None)
    if kind == "events":
        for _ in range(count):
            event = filled.open_event(now)
            aggregates.put(event.id, event)
        return
    event = filled.open_event(now)
    for _ in range(count):
        filled.reserve(event, uuid4(), now, pay=kind == "paid")
    aggregates.put(event.id, event)


async def main() -> None:
    """Fill a cache and tell how much memory that took."""
    kind, count = sys.argv[1], int(sys.argv[2])
    nowhere: AsyncConnectionPool[Connection] = AsyncConnectionPool("", open=False)
    aggregates = AggregateCache(nowhere, max_bytes=sys.maxsize)
    process = psutil.Process()
    before = process.memory_info().rss
    fill(kind, count, aggregates)
    told = {"resident_bytes": process.memory_info().rss - before, "believed_bytes": aggregates.bytes}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
