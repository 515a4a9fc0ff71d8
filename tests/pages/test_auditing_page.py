"""The guide for auditors works when it is pasted, and answers the questions that it begins with."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT, THE_PATH, free_port, until_ready
from tests.tixxety.forked import running_command, typed_words

PAGE = (ROOT / "docs/auditing.md").read_text()
SECRET = "a secret that no other box office has"
SECONDS_MAX = 280


def blocks(language: str) -> str:
    """All that is to be pasted, in order."""
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def pasted(database_url: str, tmp_path: Path) -> str:
    """What the whole page says when it is pasted beside a box office that runs; its files are in `tmp_path`."""
    port = free_port()
    environment = {"DATABASE_URL": database_url, "JWT_SECRET": SECRET}
    logs = {name: tmp_path / f"{name}.log" for name in ("api", "worker")}
    with (
        running_command(["serve", "--port", str(port)], environment, logs["api"]) as api,
        running_command(["worker"], environment, logs["worker"]) as worker,
        typed_words() as tixxety,
    ):
        until_ready(f"http://127.0.0.1:{port}/health/ready", (api, logs["api"]), (worker, logs["worker"]))
        told = {"API": f"http://127.0.0.1:{port}", "TIXXETY": tixxety, "TMPDIR": str(tmp_path)}
        told["PYTHON"] = sys.executable
        done = subprocess.run(
            ["bash"],
            cwd=ROOT,
            input="set -e\n" + blocks("sh"),
            env={**THE_PATH, **environment, **told},
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
    assert "[####################]  1 Stalls paid; 1 of 1 taken" in pasted
    # Verification five times, and the checker twice.
    assert pasted.count("All is well.") == 7
    assert pasted.count("Sealed up to position 6") >= 5
    assert [path.name for path in sorted(tmp_path.rglob("*.checker.py"))] == [
        "event.ndjson.checker.py",
        "history.ndjson.checker.py",
    ]


def test_its_own_three_questions_are_answered(pasted: str) -> None:
    asked = re.findall(r'"([^"]+\?)"', PAGE.partition("## ")[0].lower())
    assert len(asked) == 3
    assert [answered.lower() for answered in re.findall(r'^\*\*"(.*?)"\*\*', PAGE, re.MULTILINE)] == asked
    assert "Refused as sold-out: 1 of 1 taken since position 3; this was decided" in pasted
    told = "The organiser changed the capacity of Stalls from 1 to 3, with 1 of 3 then taken."
    assert pasted.count(told) == 2
    assert re.search(rf" +6  \d{{4}}-.*Z  {re.escape(told)}", pasted)
    assert "NOT WELL" not in pasted
