"""The bench's command line: which scenarios, how long, how often; a table for people or JSON for programs."""

import json
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, NamedTuple, TextIO

import typer

from bench.commit_and_versions import provenance
from bench.comparison import Comparison
from bench.context import SMOKE_SCALE_MAX, Bench
from bench.report import as_dict, table
from bench.scenarios.history import export, fold, rebuild, verify
from bench.scenarios.reading import looks, read
from bench.scenarios.running import cold, expire, memory, start, versions
from bench.scenarios.selling import aged, audited, hot, many, paced, pay, sold_out, two_processes
from bench.testbed import open_testbed

# In the order in which they are measured. A scenario is called as its file is.
MODULES = (
    hot,
    many,
    sold_out,
    two_processes,
    aged,
    audited,
    paced,
    pay,
    read,
    looks,
    fold,
    verify,
    export,
    rebuild,
    expire,
    cold,
    start,
    memory,
    versions,
)
SCENARIOS: dict[str, ModuleType] = {module.__name__.rpartition(".")[2].replace("_", "-"): module for module in MODULES}
# So many distinct buyers that nobody has to come twice in one run.
BUYERS_PER_SECOND = 12_000

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class ClientsIn(StrEnum):
    """What sends the requests."""

    WRK = "wrk"
    PYTHON = "python"


class Extent(NamedTuple):
    """How long one run of clients takes, how often each variant is measured, and how large its history is, of 1."""

    seconds: float
    repeats: int
    scale: float


WHOLE, QUICK = Extent(5, 7, 1), Extent(1, 1, 0.01)


@app.command()
def measure(
    scenarios: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(SCENARIOS)}; all without one.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Every row in some minutes, roughly: 1 s, once, 0.01.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(min=0.2, help="How long one run of clients takes; 5.")] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="How often each variant is measured; 7.")] = None,
    scale: Annotated[float | None, typer.Option(min=0.0001, max=1, help="Of the sizes of what is filled; 1.")] = None,
    clients: Annotated[ClientsIn | None, typer.Option(help="By default wrk where it is installed.")] = None,
    other: Annotated[Path | None, typer.Option(exists=True, help="A tree with another version: `versions`.")] = None,
    seed: Annotated[int | None, typer.Option(help="For the same order of runs again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and tables to standard error.")] = False,
) -> None:
    """Measure; ends with 1 if anything was oversold, lost or doubled."""
    chosen = list(dict.fromkeys(scenarios or (name for name in SCENARIOS if other or name != "versions")))
    if other is None and scenarios and "versions" in chosen:
        sys.exit("bench: versions compares with another tree; name it with --other.")
    if unknown := [name for name in chosen if name not in SCENARIOS]:
        sys.exit(f"bench: there is no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}.")
    wrk = shutil.which("wrk") if clients is not ClientsIn.PYTHON else None
    if clients is ClientsIn.WRK and wrk is None:
        sys.exit("bench: wrk is not installed; install it or use --clients python.")
    usual = QUICK if quick else WHOLE
    extent = Extent(seconds or usual.seconds, repeats or usual.repeats, scale or usual.scale)
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    sent_by = "wrk" if wrk else "Python (slower than wrk: they take more of the processor from what is measured)"
    say(f"clients in {sent_by}; {os.cpu_count()} cores; seed {seed}{'; quick, so all is rough' if quick else ''}")
    about = {"quick": quick, **extent._asdict(), "clients": sent_by, "seed": seed}
    durable = extent.scale > SMOKE_SCALE_MAX
    if not durable:
        say(f"commits are not durable at this scale, the figures mean nothing; up to {SMOKE_SCALE_MAX:g} it is a smoke")
    buyers = round(BUYERS_PER_SECOND * extent.seconds)
    with open_testbed(buyers, wrk, durable=durable, is_patient=not quick) as testbed:
        about |= provenance(testbed.server_url)
        bench = Bench(testbed, extent.seconds, extent.repeats, random.Random(seed), extent.scale, other)
        comparisons = list(measured(bench, chosen, sys.stderr if as_json else sys.stdout, ", quick" if quick else ""))
    if as_json:
        sys.stdout.write(json.dumps(about | {"comparisons": [as_dict(one) for one in comparisons]}, indent=2) + "\n")
    sys.exit(1 if any(one.faults for one in comparisons) else 0)


def measured(bench: Bench, chosen: list[str], shown: TextIO, note: str) -> Iterator[Comparison]:
    """Measure one scenario after the other, and show each table as soon as it is there."""
    for name in chosen:
        began = time.monotonic()
        found = SCENARIOS[name].measure(bench)
        say(f"{name} took {time.monotonic() - began:.0f} s")
        for comparison in found:
            shown.write(table(comparison, note))
            shown.flush()
        yield from found


def say(text: str) -> None:
    """Tell the person at the terminal; standard output belongs to the figures."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def main() -> None:
    """Run the bench."""
    app(prog_name="bench")
