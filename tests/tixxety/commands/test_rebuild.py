"""`tixxety rebuild` tells how far it is, what differed and what it has done; `up` rebuilds where that is due."""

import json
import re
from typing import Any

import psycopg
import pytest

from projections.checkpoint import DEFINITIONS_VERSION
from projections.errors import SwapHeldUp
from projections.rebuilding.differences import Difference, Differences
from projections.rebuilding.rebuild import Progress
from tixxety.commands.rebuild import Report, rebuild, rebuild_first
from tixxety.schema.migration import REBUILD_DUE, migrate

CHECKPOINT = "SELECT definitions_version FROM projections.checkpoint"


def ask(database_url: str, query: str) -> Any:
    with psycopg.connect(database_url, autocommit=True) as connection:
        cursor = connection.execute(query)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else None


def make_older(database_url: str) -> None:
    """As the version before has left the tables."""
    ask(database_url, "UPDATE projections.checkpoint SET definitions_version = 1")
    ask(database_url, "DROP TABLE projections.audit_trail CASCADE")


@pytest.fixture
def box_office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database that the command finds in its environment."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    return database_url


def test_for_machines_it_prints_one_object(box_office: str, capsys: pytest.CaptureFixture[str]) -> None:
    rebuild(as_json=True)
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["differences"] == told["stale_views"] == []
    assert told.keys() == {"position", "resumed_at", "seconds", "rows_that_differed", "differences", "stale_views"}
    assert "Waiting for a moment to swap" in said.err
    for done in ("dropped", "nothing to drop"):
        rebuild(drop_old=True, as_json=True)
        assert json.loads(capsys.readouterr().out) == {"old_tables": done}


def test_people_are_told_what_to_do_next(box_office: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask(box_office, "CREATE VIEW public.mine AS SELECT title FROM projections.events")
    rebuild()
    done, view, kept = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Rebuilt and swapped at position 0 in \d+\.\d s; no row differed from the history\.", done)
    assert view == "The view public.mine still reads the tables put aside: make it again."
    assert "--drop-old" in kept


def test_who_holds_up_the_swap_is_named(box_office: str) -> None:
    with psycopg.connect(box_office, application_name="a notebook") as reader:
        reader.execute("SELECT count(*) FROM projections.events")
        named = (
            rf"^The swap is held up by process {reader.info.backend_pid} \(login \w+, a notebook, for \d s now\): end"
        )
        with pytest.raises(SwapHeldUp, match=named):
            rebuild(patience=0.1)


def test_migrate_says_that_a_rebuild_is_due_and_empties_nothing(database_url: str) -> None:
    make_older(database_url)
    for _ in range(2):
        assert migrate(database_url) == [REBUILD_DUE]
    assert ask(database_url, CHECKPOINT) == [(1,)]


def test_up_rebuilds_older_tables_first(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_older(database_url)
    rebuild_first(database_url)
    assert "rebuilding them first" in capsys.readouterr().err
    assert ask(database_url, CHECKPOINT) == [(DEFINITIONS_VERSION,)]
    assert migrate(database_url) == []


def test_up_serves_on_older_tables_where_they_can_not_be_rebuilt_now(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tixxety.commands.rebuild.PATIENCE_SECONDS", 0.1)
    make_older(database_url)
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM projections.events")
        rebuild_first(database_url)
    assert "Until they are rebuilt, the older tables serve." in capsys.readouterr().err
    assert ask(database_url, CHECKPOINT) == [(1,)]


def test_elsewhere_than_on_a_terminal_progress_is_lines_with_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("tixxety.commands.rebuild.time.monotonic", lambda: now)
    report = Report(None)
    for step, position in (("fold", 0), ("fold", 1_000), ("fold", 50_000), ("index", 200_000)):
        report.tell(Progress(step, position, 200_000))  # type: ignore[arg-type]
        now += 2.5
    report.tell_differences(Differences([Difference("events", {"event_id": "7"}, None, None, {})], {"events": 1}))
    assert capsys.readouterr().err.splitlines() == [
        "Folding the history: 0 of 200,000",
        "Folding the history: 50,000 of 200,000, 10,000/s, 15 s left",
        "Making the indexes",
        "events 7: the row is missing",
        "events: rows that differ: 1",
    ]
