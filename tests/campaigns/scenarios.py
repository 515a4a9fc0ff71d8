"""Runs every scenario of the bench for a moment, small: all measure, and none finds anything wrong. No figures.

`python -m tests.campaigns.scenarios [NAME ...]` in the project's environment; ends with 1 when one does not.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
SECONDS_MAX = 900
SMALL = ["--seconds", "0.3", "--repeats", "1", "--scale", "0.0005", "--clients", "python", "--seed", "1", "--json"]
# Written otherwise than the tree itself, so that it is taken for another.
OTHER = ["--other", str(ROOT / "bench" / "..")]


def bench(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m bench` with nothing in its environment but a home, and where its database may lie for a while."""
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "TIXXETY_NO_VENV": "1"}
    environment["TMPDIR"] = tempfile.gettempdir()
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )


def faults(home: Path, scenarios: Sequence[str]) -> list[str]:
    """What is wrong with a small run of these scenarios, of all without one; nothing when all is well."""
    done = bench(home, *scenarios, *SMALL, *OTHER)
    if done.returncode:
        return [done.stdout + done.stderr]
    told = json.loads(done.stdout)
    measured = {comparison["name"].split(":")[0] for comparison in told["comparisons"]}
    missing = [f"{name} has measured nothing" for name in scenarios if name not in measured]
    return missing + [fault for comparison in told["comparisons"] for fault in _faults_of(comparison)]


def _faults_of(comparison: dict[str, Any]) -> Iterator[str]:
    name, variants = comparison["name"], comparison["variants"]
    yield from (f"{name}: {fault}" for fault in comparison["faults"])
    if comparison["baseline"] not in variants or len(variants) < 2:
        yield f"{name} compares nothing"
    for each, variant in variants.items():
        if not all(figure > 0 for figure in variant["runs"]) or variant["seen"].get("errors", 0):
            yield f"{name}: {each} has told {variant}"
        if "clients_us" in variant["seen"] and not variant["seen"].get("api_us", 0) > 0:
            yield f"{name}: {each} was answered without any processor time"


def main() -> None:
    """All scenarios, or those that are named."""
    with tempfile.TemporaryDirectory(prefix="tixxety-scenarios-") as home:
        found = faults(Path(home), sys.argv[1:])
    sys.stdout.writelines(f"{fault}\n" for fault in found)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
