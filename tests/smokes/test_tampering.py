"""The smoke of the tampering campaign: a few histories, each verified untouched and then tampered with."""

from collections import Counter

import pytest

from tests.campaigns.tampering import tamper_with_history

TAMPERINGS = 6


@pytest.mark.parametrize("seed", range(5))
async def test_an_untouched_history_is_well_and_each_tampering_is_found(database_url: str, seed: int) -> None:
    counted: Counter[str] = Counter()
    assert await tamper_with_history(database_url, 1_000 + seed, TAMPERINGS, counted) == []
    assert counted.total() == 1 + TAMPERINGS
