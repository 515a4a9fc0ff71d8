"""Since when too few tickets were left: what going back over all counts says."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from auditing.stories.shortage import Shortage, Since

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)


def since(position: int) -> Since:
    return Since(position, NOON + timedelta(seconds=position))


@pytest.mark.parametrize("seed", range(20))
def test_it_is_where_going_back_over_all_counts_ends(seed: int) -> None:
    random = Random(seed)
    most, available = random.randint(1, 12), random.randint(0, 15)
    shortage, counts = Shortage(most), [available]
    shortage.change(available, since(1))
    for position in range(2, 200):
        available = max(0, available + random.choice((-3, -1, -1, 0, 1, 2)))
        counts.append(available)
        shortage.change(available, since(position))
        for quantity in range(1, most + 1):
            short = position
            while short >= 1 and counts[short - 1] < quantity:
                short -= 1
            assert shortage.since(quantity) == (None if short == position else since(short + 1))


def test_its_memory_is_bounded_by_the_most_that_is_asked_for() -> None:
    shortage = Shortage(5)
    for position, available in enumerate(range(100_000, -1, -1), start=1):
        shortage.change(available, since(position))
    assert len(shortage._left) <= 6
    assert shortage.since(3) == since(100_000 - 1)
