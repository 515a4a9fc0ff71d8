"""The bench's command line: which scenarios, how long, how often; a table for people or JSON for programs."""

import json
import os
import platform
import random
import shutil
import sys
import time
from enum import StrEnum
from types import ModuleType
from typing import Annotated

import typer

from bench.comparison import Comparison
from bench.context import SMOKE_SCALE_MAX, Bench
from bench.report import as_dict, table
from bench.scenarios import (
    aged,
    audited,
    cold,
    expire,
    export,
    fold,
    hot,
    looks,
    many,
    memory,
    paced,
    pay,
    read,
    rebuild,
    sold_out,
    start,
    two_processes,
    verify,
)
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
)
SCENARIOS: dict[str, ModuleType] = {module.__name__.rpartition(".")[2].replace("_", "-"): module for module in MODULES}
# So many distinct buyers that nobody has to come twice in one run.
BUYERS_PER_SECOND = 12_000

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class ClientsIn(StrEnum):
    """What sends the requests."""

    WRK = "wrk"
    PYTHON = "python"


@app.command()
def measure(
    scenarios: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(SCENARIOS)}; all without one.")] = None,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long one run of clients takes.")] = 10,
    repeats: Annotated[int, typer.Option(min=1, help="How often each variant is measured.")] = 3,
    scale: Annotated[float, typer.Option(min=0.0001, max=1, help="Of the sizes that scenarios fill up to.")] = 1,
    clients: Annotated[ClientsIn | None, typer.Option(help="By default wrk where it is installed.")] = None,
    seed: Annotated[int | None, typer.Option(help="For the same order of runs again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure; ends with 1 if anything was oversold, lost or doubled."""
    chosen = list(dict.fromkeys(scenarios or SCENARIOS))
    if unknown := [name for name in chosen if name not in SCENARIOS]:
        sys.exit(f"bench: there is no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}.")
    wrk = shutil.which("wrk") if clients is not ClientsIn.PYTHON else None
    if clients is ClientsIn.WRK and wrk is None:
        sys.exit("bench: wrk is not installed; install it or use --clients python.")
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    sent_by = "wrk" if wrk else "Python (slower than wrk: they take more of the processor from what is measured)"
    about = {"clients": sent_by, "cores": os.cpu_count(), "python": platform.python_version(), "seed": seed}
    say(f"clients in {sent_by}; {about['cores']} cores; seed {seed}")
    comparisons: list[Comparison] = []
    durable = scale > SMOKE_SCALE_MAX
    if not durable:
        say(f"commits are not durable at this scale, the figures mean nothing; up to {SMOKE_SCALE_MAX:g} it is a smoke")
    with open_testbed(round(BUYERS_PER_SECOND * seconds), wrk, durable=durable) as testbed:
        bench = Bench(testbed, seconds, repeats, random.Random(seed), scale)
        for name in chosen:
            began = time.monotonic()
            found = SCENARIOS[name].measure(bench)
            say(f"{name} took {time.monotonic() - began:.0f} s")
            comparisons += found
            if not as_json:
                for comparison in found:
                    sys.stdout.write(table(comparison))
                    sys.stdout.flush()
    if as_json:
        sys.stdout.write(json.dumps(about | {"comparisons": [as_dict(one) for one in comparisons]}, indent=2) + "\n")
    sys.exit(1 if any(one.faults for one in comparisons) else 0)


def say(text: str) -> None:
    """Tell the person at the terminal; standard output belongs to the figures."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def main() -> None:
    """Run the bench."""
    app(prog_name="bench")
