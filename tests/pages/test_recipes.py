"""The recipes for contributors keep their word: done one after the other in a copy, their own checks pass there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages.recipe_steps import copy_of_the_project, do, steps_of
from tests.running import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
RECIPE = re.compile(r"^### (?P<name>.+?)\n(?P<text>.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
RECIPES = {found["name"]: found["text"] for found in RECIPE.finditer(PAGE.partition("\n## Recipes\n")[2])}
NAMED = re.compile(r"(?<![\w./-])(?:\.?[a-z]\w*/)+[\w.-]+\.[a-z]+\b")
CHECK = re.compile(r"^Check: `python3 -m tixxety test -n 0 ([^`]+)`\.$", re.MULTILINE)
SECONDS_MAX = 200


def checks_of(text: str) -> list[str]:
    """What a recipe has pytest run, in the one line where it says so."""
    (tests,) = CHECK.findall(text)
    return str(tests).split()


def follow(name: str, text: str, folder: Path) -> None:
    """Do the recipe's steps; fails with its name and the step that can't be done."""
    for number, step in enumerate(steps_of(text), 1):
        try:
            do(step, folder)
        except AssertionError as error:
            pytest.fail(f"CONTRIBUTING.md, {name}, step {number} ({step.said}): {error}")


def test_every_recipe_can_be_followed_and_passes_its_own_check(server_url: str, tmp_path: Path) -> None:
    copy = copy_of_the_project(tmp_path / "project")
    for name, text in RECIPES.items():
        follow(name, text, copy)
    assert [path for path in sorted(set(NAMED.findall(PAGE))) if not (copy / path).exists()] == []
    checks = [check for text in RECIPES.values() for check in checks_of(text)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *checks],
        cwd=copy,
        env={"PATH": os.environ["PATH"], "TEST_DATABASE_URL": server_url, "TIXXETY_NO_VENV": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_kind_of_change_has_a_recipe() -> None:
    assert set(RECIPES) == {
        "A refusal",
        "A command",
        "A route",
        "A fact in a domain event",
        "A setting",
        "A job of the worker",
        "A format for exporting tables",
    }
    assert [name for name, text in RECIPES.items() if len(steps_of(text)) < 2] == []


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("In `a.py`, after the line `y = 1`:\n\n```python\nz\n```\n", "0 lines of a.py begin with y = 1"),
        ("In `a.py`, before the line `x`:\n\n```python\nz\n```\n", "2 lines of a.py begin with x"),
        ("In `a.py`, in the line `x = 1`, instead of `2`: `3`.\n", "that line of a.py has not one 2"),
        ("In `b.py`, at the end:\n\n```python\nz\n```\n", "b.py is not there"),
        ("In a new file `a.py`:\n\n```python\nz\n```\n", "a.py is there already"),
    ],
)
def test_what_cannot_be_followed_is_told_with_the_recipe_and_the_step(step: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\nx = 2\n".replace("x = 2", "x += 2"))
    with pytest.raises(pytest.fail.Exception) as failed:
        follow("A refusal", step, tmp_path)
    assert str(failed.value) == f"CONTRIBUTING.md, A refusal, step 1 ({step.partition(chr(10))[0]}): {reason}"


def test_a_step_in_a_form_that_is_not_understood_is_not_passed_over() -> None:
    with pytest.raises(AssertionError, match=r"no step has this form: In `a.py`, somewhere:"):
        steps_of("In `a.py`, somewhere:\n\n```python\nz\n```\n")
