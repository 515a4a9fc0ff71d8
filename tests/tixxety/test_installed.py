"""`tixxety` among other packages: ours are called `api` or `domain`, and so may others be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT

COMMAND_LINE = """
from api.tokens import ROLES
def main():
    print(ROLES)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages: a small `tixxety`, whose command line needs its own `api`."""
    for name in ("__main__.py", "bootstrap.py"):
        write(tmp_path / "site" / "tixxety" / name, (ROOT / "tixxety" / name).read_text())
    write(tmp_path / "site" / "tixxety" / "__init__.py")
    write(tmp_path / "site" / "tixxety" / "entry_point.py", COMMAND_LINE)
    write(tmp_path / "site" / "api" / "__init__.py")
    write(tmp_path / "site" / "api" / "tokens.py", "ROLES = 'ours'")
    register(tmp_path / "site", "tixxety", "api\ntixxety\n")
    return tmp_path / "site"


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def register(site: Path, distribution: str, packages: str) -> None:
    """What pip leaves behind of a distribution that it has installed."""
    write(
        site / f"{distribution}-1.dist-info" / "METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n"
    )
    write(site / f"{distribution}-1.dist-info" / "top_level.txt", packages)


def run(*words: str, folder: Path, path: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with nothing on its path but these folders and its own."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_strangers_packages_come_after_our_own(site: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "api" / "__init__.py", "raise SystemExit('a stranger')")
    path = f"{tmp_path / 'elsewhere'}{os.pathsep}{site}"
    entry_point = "from tixxety.bootstrap import run_command_line; run_command_line()"
    for words in (("-m", "tixxety"), ("-c", entry_point)):
        done = run(*words, folder=tmp_path / "elsewhere", path=path)
        assert (done.stdout, done.stderr) == ("ours\n", "")


def test_a_package_that_another_has_written_over_is_one_sentence(site: Path) -> None:
    write(site / "api" / "tokens.py", "SOMETHING = 'else'")
    register(site, "somebody", "api\n")
    done = run("-m", "tixxety", folder=site, path=str(site))
    assert done.returncode == 2
    sentence = "somebody has put files into its package api: install it into an environment of its own."
    assert done.stderr == f"tixxety: {sentence}\n"


def test_our_own_mistake_is_not_blamed_on_others(site: Path) -> None:
    write(site / "api" / "tokens.py")
    assert "ImportError: cannot import name 'ROLES'" in run("-m", "tixxety", folder=site, path=str(site)).stderr
