"""The smoke of the crash campaign: one kill of each kind in the middle of a rush."""

import random
from pathlib import Path

import pytest

from tests.campaigns.crash import VICTIMS, one_round


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_kill_in_the_middle_of_a_rush_loses_and_doubles_nothing(victim: str, home: Path) -> None:
    rush, found = one_round(home, victim, random.Random(1))
    assert found == []
    assert rush.placed
    assert rush.paid
    assert rush.cancelled
