"""The page about a table of one's own keeps its word: done as it says, the table is filled, up to date and verified."""

import re
import subprocess
import sys
from pathlib import Path
from typing import LiteralString

import pytest

from eventstore.postgres.connections import connect
from tests.pages.recipe_steps import copy_of_the_project, do, steps_of
from tests.projections.histories import BoxOffice, append
from tests.projections.rebuilding.watched_rebuild import fold_all, owner
from tests.projections.test_projection_tables import UNEXPLAINED
from tests.running import ROOT

PAGE = (ROOT / "docs/your-own-table.md").read_text()
BUYERS = "SELECT buyer_id, reservations, tickets_paid FROM buyers ORDER BY buyer_id"
BY_RESERVATIONS = """
SELECT buyer_id, count(*), coalesce(sum(quantity) FILTER (WHERE status = 'paid'), 0)::bigint
FROM reservations GROUP BY buyer_id ORDER BY buyer_id
"""
WRONG: dict[LiteralString, str] = {
    "UPDATE buyers SET tickets_paid = tickets_paid + 1": "By the history this row is different: tickets_paid is",
    "DELETE FROM buyers WHERE buyer_id = (SELECT buyer_id FROM buyers LIMIT 1)": (
        "The row is missing. (table buyers, buyer_id"
    ),
    "INSERT INTO buyers VALUES (gen_random_uuid(), 1, 0, 1)": "No domain event makes this row. (table buyers",
}


def fenced(language: str) -> list[str]:
    """The page's blocks in that language, in order."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project with what the page adds to it."""
    copied = copy_of_the_project(tmp_path / "project")
    steps = steps_of(PAGE)
    assert len(steps) == 4
    for step in steps:
        do(step, copied)
    version = re.compile(r"^DEFINITIONS_VERSION = (\d+)$", re.MULTILINE)
    checkpoint = copied / "projections/checkpoint.py"
    raised = version.sub(lambda found: f"DEFINITIONS_VERSION = {int(found[1]) + 1}", checkpoint.read_text())
    assert raised != checkpoint.read_text()
    checkpoint.write_text(raised)
    return copied


def done_in(copy: Path, database_url: str, command: str, code: int = 0) -> str:
    """What one of the page's commands says there, which ends with this code."""
    python, *arguments = command.split()
    assert python == "python3"
    environment = {"DATABASE_URL": database_url, "TIXXETY_NO_VENV": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


async def test_a_table_of_ones_own_is_filled_from_the_whole_history(database_url: str, copy: Path) -> None:
    commands = BoxOffice(1).commands(400)
    async with owner(database_url) as connection:
        await append(connection, commands[:300])
        await fold_all(database_url)
        # No projector is at work: what comes now is folded one batch after the other, once the tables are swapped.
        await append(connection, commands[300:])
        rebuild, verify = fenced("sh")
        assert "Rebuilt and swapped" in done_in(copy, database_url, rebuild)
    async with await connect(database_url) as connection:
        buyers = await (await connection.execute(BUYERS)).fetchall()
        assert buyers == await (await connection.execute(BY_RESERVATIONS)).fetchall() != []
        answer = await (await connection.execute(fenced("sql")[1].encode())).fetchall()
        assert [came_back for came_back, *_ in answer] == [True]
        assert sum(count for _, count, _ in answer) == len(buyers)
        assert await (await connection.execute(UNEXPLAINED, {"schema": "projections"})).fetchall() == []
    assert "All is well." in done_in(copy, database_url, verify)
    async with owner(database_url) as connection:
        for wrong in WRONG:
            await connection.execute(wrong)
    told = done_in(copy, database_url, verify, code=1)
    assert [finding for finding in WRONG.values() if finding not in told] == []
