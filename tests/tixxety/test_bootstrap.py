"""`python3 -m tixxety` on a bare Python: the environment is made once, whole, and by one process at a time.

Each test has a clone with an empty lock, so that nothing is fetched, and a command line that only says where it runs.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
COMMAND_LINE = """
import json, sys
def main():
    print(json.dumps({"prefix": sys.prefix, "arguments": sys.argv[1:]}))
"""
# Making an environment with pip in it takes many seconds, so only the tests of that do it.
QUICK_UV = """#!/bin/sh
[ "$1" = pip ] && exit 0
for place; do :; done
exec python3 -m venv --without-pip "$place"
"""
BROKEN_UV = """#!/bin/sh
exit 2
"""
PYTHON = getattr(sys, "_base_executable", sys.executable)
HIDE_PIP = """
import importlib.util, runpy, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("pip", "ensurepip") else find(name, *rest)
sys.argv = ["tixxety", "up"]
runpy.run_path("tixxety", run_name="__main__")
"""
# As Debian's Python, whose own pip, where it has one, installs into an environment without; seconds quicker.
HIDE_ENSUREPIP = """
import importlib.util, runpy, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "ensurepip" and find("pip") else find(name, *rest)
sys.argv = ["tixxety", "up"]
runpy.run_path("tixxety", run_name="__main__")
"""
OLD_PYTHON = """
import runpy, sys
sys.version_info = (3, 9, 0, "final", 0)
sys.argv = ["tixxety", "up"]
runpy.run_path("tixxety", run_name="__main__")
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = tmp_path / "clone"
    (clone / "tixxety").mkdir(parents=True)
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "python3").symlink_to(PYTHON)
    write_uv(clone, QUICK_UV)
    for name in ("__main__.py", "bootstrap.py"):
        shutil.copy(ROOT / "tixxety" / name, clone / "tixxety")
    (clone / "tixxety" / "__init__.py").touch()
    (clone / "tixxety" / "entry_point.py").write_text(COMMAND_LINE)
    (clone / "pyproject.toml").touch()
    (clone / "requirements.lock").touch()
    return clone


def write_uv(clone: Path, script: str) -> None:
    """Put a program in uv's place."""
    program = clone.parent / "programs" / "uv"
    program.write_text(script)
    program.chmod(0o755)


def start(clone: Path, *words: str, folder: Path | None = None, **environment: str) -> "subprocess.Popen[str]":
    """Start Python in the clone, with no program but itself and that uv on the PATH, and an empty home."""
    home = clone.parent / "home"
    home.mkdir(exist_ok=True)
    return subprocess.Popen(
        [PYTHON, *words],
        cwd=folder or clone,
        env={"PATH": str(clone.parent / "programs"), "HOME": str(home), "PIP_NO_INDEX": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(clone: Path, *words: str, folder: Path | None = None, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one run."""
    process = start(clone, *words, folder=folder, **environment)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def answer(clone: Path, *words: str, folder: Path | None = None, **environment: str) -> dict[str, Any]:
    """What the command line said, which must have been reached."""
    code, output, errors = run(clone, *words, folder=folder, **environment)
    assert code == 0, errors
    said: dict[str, Any] = json.loads(output)
    return said


def test_the_first_start_makes_the_environment_and_the_next_uses_it(clone: Path) -> None:
    expected = {"prefix": str(clone / ".venv"), "arguments": ["up", "--port", "0"]}
    assert answer(clone, "-m", "tixxety", "up", "--port", "0") == expected
    code, output, errors = run(clone, "-m", "tixxety", "up", "--port", "0")
    assert (code, json.loads(output), errors) == (0, expected, "")


def test_it_runs_from_anywhere_past_modules_of_the_same_name(clone: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "tixxety").mkdir(parents=True)
    (elsewhere / "tixxety" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    assert answer(clone, str(clone / "tixxety"), "up", folder=elsewhere)["prefix"] == str(clone / ".venv")


def test_two_first_starts_at_once_make_one_environment(clone: Path) -> None:
    processes = [start(clone, "-m", "tixxety", name) for name in ("one", "two")]
    results = [process.communicate(timeout=120) for process in processes]
    assert sorted(json.loads(output)["arguments"][0] for output, _ in results) == ["one", "two"]
    assert "".join(errors for _, errors in results).count("(once") == 1


def test_half_an_environment_is_made_again(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").write_text("half a file")
    (clone / ".venv" / "left").touch()
    assert answer(clone, "-m", "tixxety", "up")["prefix"] == str(clone / ".venv")
    assert not (clone / ".venv" / "left").exists()


def test_an_environment_whose_python_is_gone_is_made_again(clone: Path) -> None:
    answer(clone, "-m", "tixxety", "up")
    python = clone / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert answer(clone, "-m", "tixxety", "up")["prefix"] == str(clone / ".venv")


def test_a_changed_lock_is_installed_even_from_within(clone: Path) -> None:
    answer(clone, "-m", "tixxety", "up")
    (clone / "requirements.lock").write_text("# another\n")
    inside = subprocess.run(
        [clone / ".venv" / "bin" / "python", "-m", "tixxety", "up"],
        cwd=clone,
        env={"PATH": str(clone.parent / "programs"), "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "setting up" in inside.stderr
    assert run(clone, "-m", "tixxety", "up")[2] == ""


def test_a_package_that_cannot_be_had_is_one_sentence_and_the_next_start_tries_again(clone: Path) -> None:
    write_uv(clone, BROKEN_UV)
    (clone / "requirements.lock").write_text(f"tixxety-nowhere==1 --hash=sha256:{'0' * 64}\n")
    code, output, errors = run(clone, "-c", HIDE_ENSUREPIP)
    assert (code, output) == (2, "")
    assert "could not be installed" in errors.splitlines()[-1]
    assert "tixxety-nowhere" in errors.splitlines()[-1]
    assert len(errors.splitlines()) == 2
    write_uv(clone, QUICK_UV)
    assert answer(clone, "-m", "tixxety", "up")["prefix"] == str(clone / ".venv")


def test_where_uv_does_not_work_pip_does(clone: Path) -> None:
    write_uv(clone, BROKEN_UV)
    assert answer(clone, "-m", "tixxety", "up")["prefix"] == str(clone / ".venv")
    assert (clone / ".venv" / "bin" / "pip").exists()


def test_a_python_without_pip_names_the_package_to_install(clone: Path) -> None:
    write_uv(clone, BROKEN_UV)
    code, _, errors = run(clone, "-c", HIDE_PIP)
    assert code == 2
    assert re.search(r"install the package python3\.\d+-venv", errors.splitlines()[-1])


def test_an_old_python_starts_a_newer_one(clone: Path) -> None:
    (clone.parent / "programs" / "python3.11").symlink_to(PYTHON)
    assert answer(clone, "-c", OLD_PYTHON)["arguments"] == ["up"]


def test_an_old_python_alone_says_what_is_needed(clone: Path) -> None:
    (clone.parent / "programs" / "uv").unlink()
    code, _, errors = run(clone, "-c", OLD_PYTHON)
    assert (code, errors) == (2, "tixxety: Python 3.11 or newer is needed; this is 3.9.\n")
    assert not (clone / ".venv").exists()


def test_an_installed_copy_makes_no_environment(clone: Path) -> None:
    assert answer(clone, "-m", "tixxety", "up", TIXXETY_NO_VENV="1")["prefix"] != str(clone / ".venv")
    (clone / "requirements.lock").unlink()
    answer(clone, "-m", "tixxety", "up")
    assert not (clone / ".venv").exists()


def test_a_clone_that_cannot_be_written_gets_its_environment_in_the_cache(clone: Path) -> None:
    """Root writes everywhere: where a file stands in the way, it cannot either."""
    (clone / ".venv").touch()
    (clone / ".venv").chmod(0o400)
    code, _, errors = run(clone, "-m", "tixxety", "up")
    if os.geteuid() == 0:
        assert code == 2
        assert "cannot be made" in errors
    else:
        assert code == 0
        assert "home/.cache/tixxety/venv-" in errors
