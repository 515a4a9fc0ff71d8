"""`up` rebuilds older tables for reading before it serves, and serves on them where that can't be done now."""

from typing import Any

import psycopg
import pytest

from projections.checkpoint import DEFINITIONS_VERSION
from projections.rebuilding.differences import Difference, Differences
from tixxety.schema.migration import REBUILD_DUE, migrate
from tixxety.schema.rebuild_tables import lines_of, rebuild_first

CHECKPOINT = "SELECT definitions_version FROM projections.checkpoint"


def ask(database_url: str, query: str) -> Any:
    with psycopg.connect(database_url, autocommit=True) as connection:
        cursor = connection.execute(query)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else None


@pytest.fixture
def older_url(database_url: str) -> str:
    """A database as the version before has left its tables."""
    ask(database_url, "UPDATE projections.checkpoint SET definitions_version = 1")
    ask(database_url, "DROP TABLE projections.audit_trail CASCADE")
    return database_url


def test_migrate_says_that_a_rebuild_is_due_and_empties_nothing(older_url: str) -> None:
    for _ in range(2):
        assert migrate(older_url) == [REBUILD_DUE]
    assert ask(older_url, CHECKPOINT) == [(1,)]


def test_up_rebuilds_older_tables_first(older_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    rebuild_first(older_url)
    assert "rebuilding them first" in capsys.readouterr().err
    assert ask(older_url, CHECKPOINT) == [(DEFINITIONS_VERSION,)]
    assert migrate(older_url) == []


def test_up_serves_on_older_tables_where_they_can_not_be_rebuilt_now(
    older_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(older_url) as reader:
        reader.execute("SELECT count(*) FROM projections.events")
        rebuild_first(older_url, patience_seconds=0.1)
    assert "Until they are rebuilt, the older tables serve." in capsys.readouterr().err
    assert ask(older_url, CHECKPOINT) == [(1,)]


def test_what_differs_is_told_row_by_row_and_counted() -> None:
    found = Differences([Difference("events", {"event_id": "7"}, None, None, {})], {"events": 1, "reservations": 0})
    assert lines_of(found) == ["events 7: the row is missing", "events: rows that differ: 1", "reservations: equal"]
