"""The smoke of the greedy campaign: beside a small storm of one account another buyer is told nothing but yes."""

from bench.house import open_house
from tests.campaigns.greedy import campaign


def test_a_storm_of_one_account_costs_another_buyer_no_answer() -> None:
    with open_house(3) as house:
        (share,) = campaign(house, connections=200, seconds=1, rounds=1)
    assert not share.is_overloaded, share
    assert set(share.storm.statuses) == {201, 429}
