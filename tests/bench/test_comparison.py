"""How figures become ratios, goals and a report: the arithmetic that everybody will believe."""

import random

import pytest

from bench.comparison import Comparison, Goal, Interval, Measured, Spread, in_turn
from bench.report import as_dict, table
from bench.scenarios.history.fold import lags_ms


def compared(ours: list[float], theirs: list[float], *goals: Goal) -> Comparison:
    runs = {
        "ours": [Measured(figure, {"errors": 0}, []) for figure in ours],
        "theirs": [Measured(figure, {"errors": 0}, []) for figure in theirs],
    }
    return Comparison("a scenario", "answers/s", "theirs", list(goals), runs, [])


def test_ratios_are_taken_pair_by_pair() -> None:
    comparison = compared([300, 200, 90], [100, 50, 30])
    assert comparison.ratio("ours", "theirs") == Interval(3, 3, 4, 0.75)
    assert comparison.spread("ours") == Spread(200, 90, 300)


@pytest.mark.parametrize(
    ("runs", "low", "high", "confidence"),
    [(1, 1, 1, 0), (3, 1, 3, 0.75), (6, 1, 6, 0.96875), (7, 1, 7, 0.984375), (9, 2, 8, 0.9609375), (20, 6, 15, 0.9586)],
)
def test_the_interval_of_a_median_is_the_narrowest_with_enough_confidence(
    runs: int, low: float, high: float, confidence: float
) -> None:
    found = Interval.of([float(value) for value in range(runs, 0, -1)])
    assert (found.low, found.high) == (low, high)
    assert found.confidence == pytest.approx(confidence, abs=1e-4)


def test_a_goal_may_be_about_what_was_seen_beside_the_figure() -> None:
    comparison = compared([1, 2, 3], [1, 1, 1], Goal("ours", None, 150, at_least=False, seen="sum_us"))
    comparison.runs["ours"] = [Measured(1, {"sum_us": us}, []) for us in (160, 140, 149)]
    assert comparison.reached(comparison.goals[0]).median == 149
    assert "reached  ours: sum_us <= 150: 149 (140 to 160 with 75%)" in table(comparison)


def test_what_was_not_seen_in_a_run_was_nothing_there() -> None:
    comparison = compared([1, 2, 3], [1, 1, 1])
    comparison.runs["ours"] = [Measured(1, seen, []) for seen in ({"pg_writing_us": 3.0}, {}, {"api_us": 5.0})]
    assert comparison.seen("ours") == {"pg_writing_us": 0.0, "api_us": 0.0}


def test_a_fault_while_warming_up_counts() -> None:
    comparison = compared([1], [1])
    comparison.warmed["ours"] = [Measured(1, {}, ["lost one"])]
    assert comparison.faults == ["ours: lost one"]


@pytest.mark.parametrize(
    ("goal", "is_reached"),
    [
        (Goal("ours", "theirs", 3), True),
        (Goal("ours", "theirs", 3.1), False),
        (Goal("ours", None, 200), True),
        (Goal("ours", None, 200, at_least=False), True),
        (Goal("ours", None, 199, at_least=False), False),
    ],
)
def test_a_goal_is_about_the_median(goal: Goal, is_reached: bool) -> None:
    comparison = compared([300, 200, 90], [100, 50, 30], goal)
    assert goal.is_reached(comparison.reached(goal).median) is is_reached
    assert ("reached" in table(comparison)) is is_reached
    assert ("MISSED" in table(comparison)) is not is_reached
    assert as_dict(comparison)["goals"][0]["is_reached"] is is_reached


def test_faults_are_named_and_a_clean_history_is_said_to_be_one() -> None:
    comparison = compared([1], [1])
    assert "nothing oversold, lost or doubled" in table(comparison)
    comparison.runs["ours"] = [Measured(1, {}, ["2 were accepted and 1 recorded"])]
    comparison.faults_of_history = ["the table events differs from the history"]
    assert comparison.faults == ["ours: 2 were accepted and 1 recorded", "the table events differs from the history"]
    assert "FAULT    ours: 2 were accepted and 1 recorded" in table(comparison)
    assert "nothing oversold" not in table(comparison)


def test_what_wrote_no_history_is_not_said_to_be_proved() -> None:
    comparison = compared([1], [1])
    comparison.faults_of_history = None
    assert "nothing oversold" not in table(comparison)


def test_each_variant_is_measured_once_a_round_and_the_order_changes() -> None:
    asked: list[str] = []

    def measure(name: str) -> Measured:
        asked.append(name)
        return Measured(1, {}, [])

    variants = {name: lambda name=name: measure(name) for name in "abcd"}
    in_turn(Comparison("", "", "a"), variants, 8, random.Random(1))
    rounds = [tuple(asked[start : start + 4]) for start in range(0, 32, 4)]
    assert all(sorted(one) == list("abcd") for one in rounds)
    assert len(set(rounds)) > 1


def test_lag_is_how_long_a_head_waited_for_the_checkpoint() -> None:
    busy = [(0.0, 10, 0), (0.1, 10, 4), (0.2, 10, 10), (0.3, 20, 10), (0.4, 20, 10), (0.6, 20, 20)]
    assert lags_ms(busy) == pytest.approx([0, 100, 200, 200, 300])
    assert lags_ms([(-0.1, 0, 0), *busy, (0.7, 20, 20)]) == lags_ms(busy)
