"""`export`: how fast 500,000 domain events are written and verified as a file, and how much memory that takes."""

import asyncio
import importlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from auditing.export.ndjson_reader import NdjsonFile
from auditing.export.write_export import Ndjson, export
from auditing.verify.file.verify_file import verify_file
from auditing.verify.garbage_collection import sparing_collector
from bench.comparison import Comparison, Goal, Measured, in_turn
from bench.context import Bench
from bench.scenarios.history.fold import fill
from bench.scenarios.history.verify import MEGABYTE, by_memory
from bench.testbed import ROOT, connect
from bench.verification_process import KILOBYTE, most_bytes
from eventstore.postgres.connections import BY_INDEX, WORKER_ROLE
from eventstore.postgres.connections import connect as connect_async
from eventstore.seals import seals

NDJSON, PARQUET, COPY = "NDJSON", "Parquet", "PostgreSQL's COPY as text"
VERIFY, READ = "verify --file", "only read, record by record"
SMALL, LARGE = "a fifth", "the whole"
DOMAIN_EVENTS = 500_000
COPY_OUT = "COPY (SELECT * FROM stored_events ORDER BY notification_id) TO STDOUT"


def measure(bench: Bench) -> list[Comparison]:
    """Domain events a second, in processes of their own; and megabytes of resident memory at two sizes."""
    testbed = bench.testbed
    large, small = testbed.database(), testbed.database()
    sizes = {large: bench.scaled(DOMAIN_EVENTS), small: bench.scaled(DOMAIN_EVENTS // 5)}
    files = {large: testbed.folder / "large.ndjson", small: testbed.folder / "small.ndjson"}
    written = {}
    for database_url, domain_events in sizes.items():
        fill(database_url, domain_events)
        asyncio.run(seal(database_url))
        written[database_url] = in_process("ndjson", database_url, files[database_url])
    other = testbed.folder / "other"
    writing = Comparison(f"export: writing {sizes[large]:,} domain events", "domain events/s", COPY)
    ways = {NDJSON: "ndjson", PARQUET: "parquet", COPY: "copy"}
    in_turn(
        writing,
        {name: lambda way=way: in_process(way, large, other) for name, way in ways.items()},  # type: ignore[misc]
        bench.few,
        bench.dice,
    )
    verifying = Comparison(
        f"export: verifying a file of {sizes[large]:,} domain events",
        "domain events/s",
        READ,
        [Goal(VERIFY, None, 50_000.0)],
    )
    variants = {VERIFY: lambda: in_process("verify", large, files[large]), READ: lambda: read_of(large, files[large])}
    in_turn(verifying, variants, bench.few, bench.dice)
    # Whatever has run already is not run again for its memory.
    memory = [
        memory_of(bench, what, small_run, large_run)
        for what, small_run, large_run in (
            ("write NDJSON", written[small], written[large]),
            ("write Parquet", in_process("parquet", small, other), writing.runs[PARQUET][-1]),
            ("verify a file", in_process("verify", small, files[small]), verifying.runs[VERIFY][-1]),
        )
    ]
    testbed.drop(large, small)
    return [writing, verifying, *memory]


async def seal(database_url: str) -> None:
    """Seal all of it, as the worker would have."""
    async with await connect_async(database_url, role=WORKER_ROLE, **BY_INDEX) as connection:
        while await seals.seal_next(connection):
            pass


def read_of(database_url: str, file: Path) -> Measured:
    """What verifying a file costs at the least."""
    return in_process("read", database_url, file)


def memory_of(bench: Bench, what: str, small: Measured, large: Measured) -> Comparison:
    """The whole against a fifth of it."""
    goals = [Goal(LARGE, SMALL, 1.2, at_least=False)] if bench.scale == 1 else []
    runs = {SMALL: [by_memory(small)], LARGE: [by_memory(large)]}
    return Comparison(f"export: memory to {what}", "MB at most, less is better", SMALL, goals, runs)


def in_process(way: str, database_url: str, file: Path) -> Measured:
    """Timed within the process, so that starting Python does not count."""
    command = [sys.executable, "-m", "bench.scenarios.history.export", way, database_url, str(file)]
    told = json.loads(subprocess.check_output(command, cwd=ROOT))
    seen = {"seconds": told["seconds"], "most_mb": told["most_bytes"] / MEGABYTE, "file_mb": told["bytes"] / MEGABYTE}
    return Measured(told["domain_events"] / told["seconds"], seen, told["faults"])


def write_ndjson(database_url: str, path: Path) -> int:
    """Everything as JSON lines; how many domain events."""
    with path.open("wb") as file:
        return asyncio.run(export(database_url, None, Ndjson(file))).domain_events


def write_parquet(database_url: str, path: Path) -> int:
    """The same as Parquet."""
    from auditing.export.parquet_writer import Parquet  # whose library would count as memory of all others

    with path.open("wb") as file, Parquet(file) as parquet:
        return asyncio.run(export(database_url, None, parquet)).domain_events


def copy_out(database_url: str, path: Path) -> int:
    """The rows as they are, which is the least that any export has to do."""
    count = 0
    with path.open("wb") as file, connect(database_url) as connection, connection.cursor().copy(COPY_OUT) as copy:
        for row in copy:
            file.write(row)
            count += 1
    return count


def read_file(_database_url: str, path: Path) -> int:
    """What verifying has to read at least; how many records."""
    with path.open("rb") as file:
        return sum(map(len, NdjsonFile(file, path).records()))


def verify(_database_url: str, path: Path) -> int:
    """The file proved; how many domain events."""
    with sparing_collector():
        report = verify_file(path)
    assert report.ok, report.findings
    return report.domain_events


def main() -> None:
    """Do it one way, and tell what that took."""
    way, database_url, file = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    ways = {"ndjson": write_ndjson, "parquet": write_parquet, "copy": copy_out, "read": read_file, "verify": verify}
    if way == "parquet":
        importlib.import_module("auditing.export.parquet_writer")
    began = time.monotonic()
    domain_events = ways[way](database_url, file)
    seconds = time.monotonic() - began
    most = most_bytes() + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * KILOBYTE
    told = {"domain_events": domain_events, "seconds": seconds, "most_bytes": most, "faults": []}
    sys.stdout.write(json.dumps(told | {"bytes": file.stat().st_size}) + "\n")


if __name__ == "__main__":
    main()
