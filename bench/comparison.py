"""Variants measured in turn, in a new order each time, and what came out: medians, ranges, ratios in pairs."""

import math
import os
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


class Interval(NamedTuple):
    """A median and the bounds between which that of endlessly many runs lies, with the probability `confidence`."""

    median: float
    low: float
    high: float
    confidence: float

    @classmethod
    def of(cls, values: list[float], confidence: float = 0.95) -> "Interval":
        """The narrowest one with at least this confidence, or the widest there is where there are too few values.

        Each value lies above the true median with probability 1/2, whatever the distribution, so the bounds are two of
        the values in their order. Six are enough for 95 %.
        """
        ordered = sorted(values)
        outside, rank = 2 * 0.5 ** len(ordered), 0
        while (wider := outside + 2 * math.comb(len(ordered), rank + 1) * 0.5 ** len(ordered)) <= 1 - confidence:
            outside, rank = wider, rank + 1
        return cls(statistics.median(ordered), ordered[rank], ordered[-1 - rank], max(0.0, 1 - outside))


class Goal(NamedTuple):
    """`variant` over `baseline`, or over nothing where the figure itself counts, has to be so much.

    `seen` names what was seen beside the figure, where that is what counts.
    """

    variant: str
    baseline: str | None
    bound: float
    at_least: bool = True
    seen: str | None = None

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
    # What only warmed up: its figures count for nothing, its faults for as much as any.
    warmed: dict[str, list[Measured]] = field(default_factory=dict)
    # Processes that wanted a core in the minute before, and in the last minute of it; None where runs are another's.
    load: tuple[float, float] | None = None

    def spread(self, variant: str) -> Spread:
        """The variant's figures."""
        return Spread.of([run.figure for run in self.runs[variant]])

    def ratio(self, variant: str, baseline: str) -> Interval:
        """Pair by pair, so that a machine whose speed drifts compares what it did at about the same time."""
        pairs = zip(self.runs[variant], self.runs[baseline], strict=True)
        return Interval.of([ours.figure / theirs.figure for ours, theirs in pairs])

    def seen(self, variant: str) -> dict[str, float]:
        """The medians of what was seen beside the figures; what was not seen in a run was 0 there."""
        runs = self.runs[variant]
        names = dict.fromkeys(name for run in runs for name in run.seen)
        return {name: statistics.median([run.seen.get(name, 0.0) for run in runs]) for name in names}

    def reached(self, goal: Goal) -> Interval:
        """The value that the goal is about: its median counts."""
        if goal.baseline is not None:
            return self.ratio(goal.variant, goal.baseline)
        runs = self.runs[goal.variant]
        return Interval.of([run.figure if goal.seen is None else run.seen[goal.seen] for run in runs])

    @property
    def is_judged(self) -> bool:
        """Whether a history was written, and looked through afterwards."""
        return self.faults_of_history is not None

    @property
    def faults(self) -> list[str]:
        """Everything that was wrong in any run."""
        all_runs = (*self.warmed.items(), *self.runs.items())
        in_runs = [f"{name}: {fault}" for name, runs in all_runs for run in runs for fault in run.faults]
        return in_runs + (self.faults_of_history or [])


def in_turn(comparison: Comparison, variants: Mapping[str, Measure], repeats: int, dice: random.Random) -> Comparison:
    """Fill the comparison: each variant once, in a random order, and all of that `repeats` times."""
    load_before = os.getloadavg()[0]
    comparison.runs = {name: [] for name in variants}
    for _ in range(repeats):
        for name in dice.sample(list(variants), len(variants)):
            comparison.runs[name].append(variants[name]())
    comparison.load = (load_before, os.getloadavg()[0])
    return comparison
