"""The bench still runs: every scenario for a moment, small, on a PostgreSQL of its own. Says nothing about speed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.cli import SCENARIOS

ROOT = Path(__file__).parent.parent.parent
SECONDS_MAX = 280
SMALL = ["--seconds", "0.3", "--repeats", "1", "--scale", "0.0005"]
# In three parts, so that they run side by side and none is at it for long where the machine is busy.
PARTS = [
    ["hot", "many", "sold-out", "aged", "audited"],
    ["two", "pay", "read", "fold"],
    ["rebuild", "verify", "export", "expire", "cold", "memory"],
]


def bench(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m bench` with nothing in its environment but a home."""
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "TIXXETY_NO_VENV": "1"}
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )


def test_every_scenario_is_in_the_smoke() -> None:
    assert sorted(name for part in PARTS for name in part) == sorted(SCENARIOS)


@pytest.mark.parametrize("part", PARTS, ids=["reserving", "under way", "prepared"])
def test_all_scenarios_measure_and_find_nothing_wrong(tmp_path: Path, part: list[str]) -> None:
    done = bench(tmp_path, *part, *SMALL, "--clients", "python", "--seed", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["clients"].startswith("Python")
    assert {comparison["name"].split(":")[0] for comparison in told["comparisons"]} == set(part)
    for comparison in told["comparisons"]:
        assert comparison["faults"] == [], comparison
        assert comparison["baseline"] in comparison["variants"]
        assert len(comparison["variants"]) >= 2
        for name, variant in comparison["variants"].items():
            assert all(figure > 0 for figure in variant["runs"]), (name, variant)
            assert variant["seen"].get("errors", 0) == 0, (comparison["name"], name, variant)


def test_an_unknown_scenario_is_one_sentence(tmp_path: Path) -> None:
    done = bench(tmp_path, "hot", "lukewarm")
    assert done.returncode == 1
    assert done.stderr.startswith("bench: there is no scenario lukewarm; there are hot, ")
    assert done.stderr.count("\n") == 1
