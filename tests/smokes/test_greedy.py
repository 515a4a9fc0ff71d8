"""The smoke of the greedy campaign: beside a small storm of one account another buyer is told nothing but yes."""

from bench.rushes import opened
from bench.testbed import open_testbed
from tests.campaigns.greedy import share


def test_a_storm_of_one_account_costs_another_buyer_no_answer() -> None:
    with open_testbed(3, durable=False) as testbed, opened(testbed) as site:
        measured = share(site, connections=100, seconds=0.5, lead_seconds=0.75)
        assert site.faults() == []
    assert not measured.is_overloaded, measured
    assert set(measured.storm.statuses) == {201, 429}
