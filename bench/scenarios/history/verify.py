"""`verify`: how fast a history of 300,000 domain events is proved, and how much memory that takes at two sizes."""

import asyncio
import json
import subprocess
import sys

from bench.comparison import Comparison, Goal, Measured, in_turn
from bench.context import Bench
from bench.scenarios.history.fold import fill
from bench.testbed import ROOT
from eventstore.postgres.connections import BY_INDEX, WORKER_ROLE
from eventstore.postgres.connections import connect as connect_async
from eventstore.seals import seals
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from workers.periodic_jobs import Snapshots

OURS, READ = "tixxety", "only read, once in each order"
SMALL, LARGE = "a fifth", "the whole"
DOMAIN_EVENTS = 300_000
MEGABYTE = 1_000_000


def measure(bench: Bench) -> list[Comparison]:
    """Domain events a second, in processes of their own; and megabytes of resident memory of all of them together."""
    testbed = bench.testbed
    large, small = testbed.database(), testbed.database()
    sizes = {large: bench.scaled(DOMAIN_EVENTS), small: bench.scaled(DOMAIN_EVENTS // 5)}
    for database_url, domain_events in sizes.items():
        fill(database_url, domain_events)
        asyncio.run(finish(database_url))

    speed = Comparison(
        f"verify: proving {sizes[large]:,} domain events", "domain events/s", READ, [Goal(OURS, None, 100_000.0)]
    )
    in_turn(
        speed,
        {OURS: lambda: in_process("verify", large), READ: lambda: in_process("read", large)},
        bench.few,
        bench.dice,
    )
    memory = Comparison(
        f"verify: memory for {sizes[large]:,} domain events against {sizes[small]:,}",
        "MB at most, less is better",
        SMALL,
        [Goal(LARGE, SMALL, 1.2, at_least=False)] if bench.scale == 1 else [],
    )
    memory.runs = {SMALL: [by_memory(in_process("verify", small))], LARGE: [by_memory(speed.runs[OURS][-1])]}
    testbed.drop(large, small)
    return [speed, memory]


async def finish(database_url: str) -> None:
    """Fold, seal and take snapshots, as the worker would have."""
    async with await connect_async(database_url, role=WORKER_ROLE, **BY_INDEX) as connection:
        batches = Batches(connection, await checkpoint.read(connection))
        while await batches.fold_next():
            pass
        while await seals.seal_next(connection):
            pass
        await Snapshots().work(connection)


def by_memory(run: Measured) -> Measured:
    """The same run, with the memory as its figure."""
    return Measured(run.seen["most_mb"], {}, run.faults)


def in_process(what: str, database_url: str) -> Measured:
    """Timed within the process, so that starting Python does not count."""
    command = [sys.executable, "-m", "bench.verification_process", what, database_url]
    told = json.loads(subprocess.check_output(command, cwd=ROOT))
    seen = {"seconds": told["seconds"], "most_mb": told["most_bytes"] / MEGABYTE}
    return Measured(told["domain_events"] / told["seconds"], seen, told["faults"])
