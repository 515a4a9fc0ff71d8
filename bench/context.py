"""What a scenario is given: the testbed, how long and how often to measure, and how large to make what it measures."""

import random
from dataclasses import dataclass

from bench.testbed import Testbed

# Up to here it is the smoke: no figure means anything.
SMOKE_SCALE_MAX = 0.001


@dataclass(frozen=True)
class Bench:
    """One run of the bench. `scale` is 1, or far less for the smoke, which only shows that all parts still fit."""

    testbed: Testbed
    seconds: float
    repeats: int
    dice: random.Random
    scale: float

    @property
    def warm_seconds(self) -> float:
        """How long a run takes that only warms up."""
        return min(2, self.seconds)

    def scaled(self, count: int) -> int:
        """So many of something, or fewer in the smoke."""
        return max(10, round(count * self.scale))
