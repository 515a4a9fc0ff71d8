"""The smoke of the stalls campaign: on one server, with and without a trip under way."""

import pytest

from tests.campaigns import stalls


@pytest.mark.parametrize("name", ["frozen with an event's lock, in a trip", "black hole before COMMIT"])
async def test_another_process_does_not_wait_for_one_that_is_silent(database_url: str, name: str) -> None:
    gap, _ = await stalls.longest_gap(database_url, stalls.STALLS[name])
    # The bound is the campaign's; a loaded machine gets as much again.
    assert gap.hot_seconds < 2 * stalls.LONGEST_GAP_SECONDS
    assert gap.other_seconds < 2 * stalls.LONGEST_GAP_SECONDS
