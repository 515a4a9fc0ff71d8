"""The table of the page about performance, from a run's JSON."""

from typing import Any

from bench.comparison import Comparison, Goal, Measured
from bench.page import page
from bench.report import as_dict

RUN: dict[str, Any] = {
    "commit": {"id": "0123abc", "is_changed": True},
    "versions": {"python": "3.11.7", "python_is_optimised": False, "postgresql": "18.6"},
    "platform": "Linux",
    "cores": 2,
    "clients": "wrk",
    "repeats": 2,
    "seconds": 5.0,
    "quick": False,
}


def test_each_variant_has_a_row_and_what_is_missed_stands_above() -> None:
    ours = [Measured(figure, {"api_us": 80.4, "sum_us": 160.2}, []) for figure in (8_000, 9_000)]
    theirs = [Measured(3_000, {}, [])] * 2
    goals = [Goal("ours", "CRUD", 3), Goal("ours", "CRUD", 2), Goal("ours", None, 150, at_least=False, seen="sum_us")]
    hot = Comparison("hot: one event", "reservations/s", "CRUD", goals, {"ours": ours, "CRUD": theirs}, [])
    told = list(page(RUN | {"comparisons": [as_dict(hot)]}))
    assert told[0] == "Missed: hot: one event: ours / CRUD >= 3; hot: one event: ours: sum_us <= 150."
    assert told[1].startswith("\nCommit 0123abc, changed; Python 3.11.7, built without optimisations; PostgreSQL 18.6;")
    cells = [
        "`hot`: one event, reservations/s: ours",
        "8,500",
        "CRUD 3,000",
        "2.83 (2.67 to 3.00 with 50%)",
        "160 (api 80.4)",
        "≥ 3 of CRUD: 2.83, **missed**; ≥ 2 of CRUD: 2.83; sum_us ≤ 150, **missed**",
    ]
    assert told[4:] == [f"| {' | '.join(cells)} |", "\nNo run oversold, lost or doubled anything."]


def test_what_was_wrong_is_told_and_what_is_reached_as_well() -> None:
    runs = {"ours": [Measured(2, {}, ["lost one"])], "CRUD": [Measured(1, {}, [])]}
    told = list(page(RUN | {"comparisons": [as_dict(Comparison("hot", "x", "CRUD", [Goal("ours", "CRUD", 2)], runs))]}))
    assert told[0] == "No goal is missed."
    assert told[-1] == "\nWrong: ours: lost one."
