"""The smoke of the crash campaign: one kill of each kind in the middle of a rush."""

import random
from pathlib import Path

from tests.campaigns.crash import VICTIMS, one_round


def test_kills_in_the_middle_of_a_rush_lose_and_double_nothing(home: Path) -> None:
    rush, found = one_round(home, VICTIMS, random.Random(1), buyers=6, purchases=25)
    assert found == []
    assert rush.placed
    assert rush.paid
    assert rush.cancelled
