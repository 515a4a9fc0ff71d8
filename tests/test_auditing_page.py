"""The guide for auditors works when it is pasted, and its own checker of seals finds what was altered."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running import ROOT, free_port, running, until_ready

PAGE = (ROOT / "docs/auditing.md").read_text()
SECRET = "a secret that no other box office has"
SECONDS_MAX = 120


def blocks(language: str) -> str:
    """All that is to be pasted, in order."""
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def pasted(database_url: str, tmp_path: Path) -> str:
    """What the whole page says when it is pasted beside a box office that runs; its files are in `tmp_path`."""
    port = free_port()
    environment = {"DATABASE_URL": database_url, "JWT_SECRET": SECRET, "TIXXETY_NO_VENV": "1"}
    tixxety = [sys.executable, "-m", "tixxety"]
    logs = {name: tmp_path / f"{name}.log" for name in ("api", "worker")}
    with (
        running([*tixxety, "serve", "--port", str(port)], environment, logs["api"]) as api,
        running([*tixxety, "worker"], environment, logs["worker"]) as worker,
    ):
        until_ready(f"http://127.0.0.1:{port}/health/ready", (api, logs["api"]), (worker, logs["worker"]))
        told = {"API": f"http://127.0.0.1:{port}", "TIXXETY": " ".join(tixxety), "TMPDIR": str(tmp_path)}
        done = subprocess.run(
            ["bash"],
            cwd=ROOT,
            input="set -e\n" + blocks("sh"),
            env={"PATH": os.environ["PATH"], **environment, **told},
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_works_when_pasted(pasted: str, tmp_path: Path) -> None:
    assert "Ben is refused: /problems/sold-out" in pasted
    assert "Ann has paid: paid" in pasted
    assert "Refused as sold-out: 1 of 1 taken since position 2; this was decided" in pasted
    assert "[####################]  1 Stalls paid; 1 of 1 taken" in pasted
    assert pasted.count("All is well.") == 4
    (exported,) = tmp_path.rglob("history.ndjson")
    check(exported, lambda text: text, "Sealed up to position 5, and nothing was altered.")
    check(exported, lambda text: text.replace('"quantity":1', '"quantity":2'), "AssertionError")
    check(exported, lambda text: text.replace('"version":2', '"version":3'), "AssertionError")


def check(exported: Path, change: Callable[[str], str], expected: str) -> None:
    """Run the page's own checker on a changed copy of the file."""
    copy = exported.with_name("copy.ndjson")
    copy.write_text(change(exported.read_text()))
    checker = exported.with_name("checker.py")
    checker.write_text(blocks("python"))
    done = subprocess.run([sys.executable, checker, copy], capture_output=True, text=True, timeout=60, check=False)
    assert expected in done.stdout + done.stderr
