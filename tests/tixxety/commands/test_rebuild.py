"""`tixxety rebuild` tells how far it is and what it has done."""

import json
import re
from typing import Any

import psycopg
import pytest

from projections.errors import SwapHeldUp
from tixxety.commands.rebuild import rebuild


def ask(database_url: str, query: str) -> Any:
    with psycopg.connect(database_url, autocommit=True) as connection:
        cursor = connection.execute(query)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else None


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
