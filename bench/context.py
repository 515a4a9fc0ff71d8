"""What a scenario is given: the testbed, how long and how often to measure, and how large to make what it measures."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg

from bench.comparison import Comparison, Measured, in_turn
from bench.testbed import Testbed
from bench.waiting_until_quiet import until_quiet

# Up to here it is the smoke: no figure means anything.
SMOKE_SCALE_MAX = 0.001
# A run that takes long is done so often at most, where no ratio to a baseline is claimed.
FEW = 3

# One run of a variant, of so many seconds.
Run = Callable[[float], Measured]


@dataclass(frozen=True)
class Bench:
    """One run of the bench. `scale` is 1, or far less for the smoke, which only shows that all parts still fit."""

    testbed: Testbed
    seconds: float
    repeats: int
    dice: random.Random
    scale: float
    # The tree of another version to compare with.
    other: Path | None = None

    @property
    def few(self) -> int:
        """How often a variant is measured that takes long and is held against no baseline."""
        return min(FEW, self.repeats)

    @property
    def is_smoke(self) -> bool:
        """Whether no figure means anything."""
        return self.scale <= SMOKE_SCALE_MAX

    def scaled(self, count: int) -> int:
        """So many of something, or fewer in the smoke."""
        return max(10, round(count * self.scale))

    def warmed_in_turn(
        self, comparison: Comparison, runs: Mapping[str, Run], *databases: str, seconds: float | None = None
    ) -> Comparison:
        """Fill the comparison, once every variant has had a run that counts for nothing and the databases are vacuumed.

        So all are warmed alike: as long, and with the same requests, whose tokens their processes have seen then.
        """
        for name in self.dice.sample(list(runs), 0 if self.is_smoke else len(runs)):
            comparison.warmed[name] = [runs[name](seconds or self.seconds)]
        for database_url in databases:
            vacuum(database_url)
        until_quiet(self.testbed)
        variants = {name: partial(run, seconds or self.seconds) for name, run in runs.items()}
        return in_turn(comparison, variants, self.repeats, self.dice)


def vacuum(database_url: str) -> None:
    """Vacuum and analyse all tables, as autovacuum would sooner or later."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
