"""`tixxety secrets`: new ones each time, on a bare Python, in a file that is its owner's alone."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT
from tests.tixxety.forked import run_command as tixxety
from tixxety.commands import secrets

PYTHON = getattr(sys, "_base_executable", sys.executable)
LINES = re.compile(r"([A-Z_]+=[A-Za-z0-9_-]{43}\n)+")


def test_they_are_new_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for _ in range(2):
        assert secrets.main([]) == 0
        said.append(capsys.readouterr().out)
    assert all(LINES.fullmatch(text) for text in said)
    assert len({line for text in said for line in text.splitlines()}) == 2 * len(secrets.SECRETS)


def test_the_file_is_its_owners_and_kept_unless_told_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ".env"
    assert secrets.main(["--to", str(path)]) == 0
    first = path.read_text()
    path.chmod(0o644)
    assert secrets.main(["--to", str(path)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert path.read_text() == first
    assert secrets.main(["--to", str(path), "--overwrite"]) == 0
    assert path.read_text() != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert LINES.fullmatch(path.read_text())


def test_a_file_that_cannot_be_written_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert secrets.main(["--to", "/nowhere/.env"]) == 2
    assert capsys.readouterr().err == "tixxety: There is no folder /nowhere to write .env to.\n"


def test_a_bare_python_makes_them_without_an_environment(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / "tixxety", clone / "tixxety", ignore=shutil.ignore_patterns("__pycache__"))
    (clone / "requirements.lock").touch()
    (clone / "pyproject.toml").touch()
    command = [PYTHON, "-I", "-S", str(clone / "tixxety"), "secrets", "--to", str(tmp_path / ".env")]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert LINES.fullmatch((tmp_path / ".env").read_text())
    assert not (clone / ".venv").exists()


def test_the_command_line_offers_them_too() -> None:
    done = tixxety("secrets")
    assert LINES.fullmatch(done.stdout)
    assert tixxety("secrets", "--nothing").returncode == 2
