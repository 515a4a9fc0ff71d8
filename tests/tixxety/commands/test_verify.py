"""`tixxety verify` as people and programs meet it: what it prints, and what it ends with."""

import json

import psycopg
import pytest

from eventstore.postgres.connections import WORKER_ROLE, connect
from tests.campaigns.sealed_histories import SealedHistory, make_history
from tests.tixxety.forked import run_command as tixxety

CHANGE = "SET session_replication_role = replica; UPDATE projections.reservations SET quantity = quantity + 1"
SEED = 5


@pytest.fixture
async def history(database_url: str) -> SealedHistory:
    """A random history with its seals and tables."""
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        return await make_history(connection, SEED)


def test_a_history_that_is_well_is_said_to_be(database_url: str, history: SealedHistory) -> None:
    done = tixxety("verify", DATABASE_URL=database_url)
    unsealed = history.head - history.sealed_through
    sealed = f"Sealed up to position {history.sealed_through} by seal {history.seals}"
    assert done.stdout.splitlines() == [
        f"Verified {history.head} domain events, up to position {history.head}.",
        f"{sealed}; {unsealed} after it are not sealed yet.",
        f"The tables for reading are folded up to position {history.head}.",
        "All is well.",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_wrong_is_named_and_ends_with_1(database_url: str, history: SealedHistory) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(CHANGE)
        ((rows,),) = connection.execute("SELECT count(*) FROM projections.reservations").fetchall()
    people = tixxety("verify", DATABASE_URL=database_url)
    assert people.returncode == 1
    assert f"NOT WELL: {rows} times a rule is broken. First:\n  position " in people.stdout
    assert "projection-differs: By the history this row is different: quantity is " in people.stdout
    assert people.stdout.endswith(f"  … and {rows - 21} more.\n")
    programs = tixxety("verify", "--json", DATABASE_URL=database_url)
    told = json.loads(programs.stdout)
    assert (programs.returncode, told["ok"], told["findings_count"]) == (1, False, rows)
    assert len(told["findings"]) == 21
    assert told["findings"][0].keys() == {"position", "rule", "place", "sentence"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--since-seal", "99"], "There is no seal 99: nothing is sealed yet."),
        (["--seal", "/nowhere/seal.json"], "/nowhere/seal.json cannot be read: No such file or directory."),
        (["--seal", "README.md"], "The file holds no seal: JSON is malformed: invalid character (byte 0)."),
    ],
)
def test_bad_input_is_one_sentence(database_url: str, arguments: list[str], sentence: str) -> None:
    done = tixxety("verify", *arguments, DATABASE_URL=database_url)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"tixxety: {sentence}\n")
