"""Variants measured in turn, in a new order each time, and what came out: medians, ranges, ratios in pairs."""

import random
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Measure = Callable[[], "Measured"]


class Measured(NamedTuple):
    """One run of one variant: its figure in the comparison's unit, what was seen beside it, and what was wrong."""

    figure: float
    seen: dict[str, float]
    faults: list[str]


class Spread(NamedTuple):
    """Several runs in three numbers."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


class Goal(NamedTuple):
    """`variant` over `baseline`, or over nothing where the figure itself counts, has to be so much."""

    variant: str
    baseline: str | None
    bound: float
    at_least: bool = True

    def is_reached(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass
class Comparison:
    """Variants of one scenario side by side; all are held against the one named `baseline`."""

    name: str
    unit: str
    baseline: str
    goals: list[Goal] = field(default_factory=list)
    runs: dict[str, list[Measured]] = field(default_factory=dict)
    faults_of_history: list[str] | None = None

    def spread(self, variant: str) -> Spread:
        """The variant's figures."""
        return Spread.of([run.figure for run in self.runs[variant]])

    def ratio(self, variant: str, baseline: str) -> Spread:
        """Pair by pair, so that a machine whose speed drifts compares what it did at about the same time."""
        pairs = zip(self.runs[variant], self.runs[baseline], strict=True)
        return Spread.of([ours.figure / theirs.figure for ours, theirs in pairs])

    def seen(self, variant: str) -> dict[str, float]:
        """The medians of what was seen beside the figures."""
        runs = self.runs[variant]
        return {name: statistics.median([run.seen[name] for run in runs]) for name in runs[0].seen}

    def reached(self, goal: Goal) -> float:
        """The value that the goal is about, the median of its runs."""
        if goal.baseline is None:
            return self.spread(goal.variant).median
        return self.ratio(goal.variant, goal.baseline).median

    @property
    def is_judged(self) -> bool:
        """Whether a history was written, and looked through afterwards."""
        return self.faults_of_history is not None

    @property
    def faults(self) -> list[str]:
        """Everything that was wrong in any run."""
        in_runs = [f"{name}: {fault}" for name, runs in self.runs.items() for run in runs for fault in run.faults]
        return in_runs + (self.faults_of_history or [])


def in_turn(comparison: Comparison, variants: Mapping[str, Measure], repeats: int, dice: random.Random) -> Comparison:
    """Fill the comparison: each variant once, in a random order, and all of that `repeats` times."""
    comparison.runs = {name: [] for name in variants}
    for _ in range(repeats):
        for name in dice.sample(list(variants), len(variants)):
            comparison.runs[name].append(variants[name]())
    return comparison
