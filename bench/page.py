"""The table of docs/performance.md: `python -m bench.page FILE` makes it of what a run with `--json` has printed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = "| scenario | measured | against | ratio, median (interval) | µs of processor an answer | to reach |"
LINE = "| --- | --- | --- | --- | --- | --- |"
PARTS = ("api", "worker", "pg_writing", "pg_projecting", "pg_others")


def page(run: dict[str, Any]) -> Iterator[str]:
    """Which goals are missed, what the run belongs to, and a row for each variant."""
    goals = [(one["name"], goal) for one in run["comparisons"] for goal in one["goals"]]
    missed = [f"{name}: {goal['wanted']}" for name, goal in goals if not goal["is_reached"]]
    yield f"Missed: {'; '.join(missed)}." if missed else "No goal is missed."
    commit, versions = run["commit"], run["versions"]
    built = "with" if versions["python_is_optimised"] else "without"
    yield (
        f"\nCommit {commit['id'] if commit else 'unknown'}{', changed' if commit and commit['is_changed'] else ''}; "
        f"Python {versions['python']}, built {built} optimisations; PostgreSQL {versions['postgresql']}; "
        f"{run['cores']} cores, {run['platform']}; clients in {run['clients']}; {run['repeats']} runs of "
        f"{run['seconds']:g} s{', quick: all is rough' if run['quick'] else ''}.\n"
    )
    yield HEAD
    yield LINE
    for comparison in run["comparisons"]:
        yield from rows(comparison)
    faults = [fault for one in run["comparisons"] for fault in one["faults"]]
    yield f"\nWrong: {'; '.join(faults)}." if faults else "\nNo run oversold, lost or doubled anything."


def rows(comparison: dict[str, Any]) -> Iterator[str]:
    """One row for each variant but the baseline, which stands beside each of them."""
    baseline = comparison["baseline"]
    theirs = number(comparison["variants"][baseline]["figure"]["median"])
    what = f"`{comparison['name'].replace(':', '`:', 1)}, {comparison['unit']}"
    for name, variant in comparison["variants"].items():
        if name == baseline:
            continue
        goals = "; ".join(goal_of(goal) for goal in comparison["goals"] if goal["variant"] == name)
        cells = [
            f"{what}: {name}",
            number(variant["figure"]["median"]),
            f"{baseline} {theirs}",
            interval(variant["ratio"]),
            processor_time(variant["seen"]),
            goals,
        ]
        yield f"| {' | '.join(cells)} |"
        what = "…"


def goal_of(goal: dict[str, Any]) -> str:
    """What has to be reached, and whether it is."""
    bound = f"{'≥' if goal['at_least'] else '≤'} {goal['bound']:,g}"
    about = f"{goal['seen']} " if goal["seen"] else ""
    over = f" of {goal['baseline']}: {number(goal['value']['median'])}" if goal["baseline"] else ""
    return f"{about}{bound}{over}{'' if goal['is_reached'] else ', **missed**'}"


def processor_time(seen: dict[str, float]) -> str:
    """The sum, and the parts of it."""
    if "sum_us" not in seen:
        return ""
    parts = [f"{part} {number(seen[f'{part}_us'])}" for part in PARTS if f"{part}_us" in seen]
    return f"{number(seen['sum_us'])} ({', '.join(parts)})"


def interval(ratio: dict[str, float]) -> str:
    """The median and between which bounds it lies."""
    if not ratio["confidence"]:
        return f"{ratio['median']:.2f}"
    return f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f} with {ratio['confidence']:.0%})"


def number(value: float) -> str:
    """Three digits that count, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in page(json.loads(Path(sys.argv[1]).read_text())))
