"""The guide for auditors works when it is pasted, and its own checker of seals finds what was altered."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from eventstore.postgres.connections import WORKER_ROLE, connect
from tests.auditing.sealed_histories import as_ndjson, sealed_history
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
    assert "Refused as sold-out: 1 of 1 taken since position 2; this was decided" in pasted
    assert "[####################]  1 Stalls paid; 1 of 1 taken" in pasted
    assert pasted.count("All is well.") == 4
    (exported,) = tmp_path.rglob("history.ndjson")
    assert "Sealed up to position 5, and nothing was altered: all of it" in checked(exported.read_text(), tmp_path)


def other_quantity(exported: str) -> str:
    return exported.replace('"quantity":1', '"quantity":2')


def other_version(exported: str) -> str:
    return exported.replace('"version":2', '"version":3')


def one_left_out(exported: str) -> str:
    head, key, _, *rest = exported.split("\n")
    return "\n".join([head, key, *rest])


def hashes_left_out(exported: str) -> str:
    return re.sub(r'"missing":\[[^]]+\]', '"missing":[]', exported)


@pytest.mark.parametrize("of_event", [False, True])
async def test_the_pages_own_checker_finds_what_was_altered(database_url: str, tmp_path: Path, of_event: bool) -> None:
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        box_office = await sealed_history(connection, seed=2)
    exported = (await as_ndjson(database_url, box_office.events[0] if of_event else None)).decode()
    well = checked(exported, tmp_path)
    assert ("what the file has of one event" if of_event else "all of it") in well
    for change in (other_quantity, other_version, one_left_out, *([hashes_left_out] if of_event else [])):
        assert change(exported) != exported
        assert "does not hold: what it covers was altered, or is not all there." in checked(change(exported), tmp_path)


def checked(exported: str, folder: Path) -> str:
    """What the page's own checker says of an export."""
    file, checker = folder / "checked.ndjson", folder / "checker.py"
    file.write_text(exported)
    checker.write_text(blocks("python"))
    done = subprocess.run([sys.executable, checker, file], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr
