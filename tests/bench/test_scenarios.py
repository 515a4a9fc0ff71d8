"""The smoke of the scenarios' campaign: one over HTTP against a baseline, and one that folds and rebuilds."""

from pathlib import Path

from tests.campaigns.scenarios import bench, faults


def test_scenarios_measure_and_find_nothing_wrong(tmp_path: Path) -> None:
    assert faults(tmp_path, ["sold-out", "rebuild"]) == []


def test_an_unknown_scenario_is_one_sentence(tmp_path: Path) -> None:
    done = bench(tmp_path, "hot", "lukewarm")
    assert done.returncode == 1
    assert done.stderr.startswith("bench: there is no scenario lukewarm; there are hot, ")
    assert done.stderr.count("\n") == 1
