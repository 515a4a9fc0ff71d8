"""The page for analysts works as it stands: its commands, its programs, and its queries as a BI tool sends them."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest
import sqlalchemy
from sqlalchemy.engine import make_url

from projections.schema.views import VIEWS
from projections.tables.all_tables import TABLES
from tests.projections.histories import BoxOffice
from tests.projections.independent_fold import Shown, expected_of
from tests.projections.sold import fill
from tests.running import ROOT, THE_PATH
from tests.tixxety.forked import typed_words
from tixxety.commands.analyst_url import hand_out, take_back

PAGE = (ROOT / "docs/analysing.md").read_text()
PASTED = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHART = re.compile(r"^```sql\n(.*?)^```\n\n- ([^\n]+)$", re.MULTILINE | re.DOTALL)
SECONDS_MAX = 200


@pytest.fixture
def sold(database_url: str) -> Iterator[Shown]:
    """A box office with a random history; what its tables have to show."""
    commands = BoxOffice(3).commands(600)
    asyncio.run(fill(database_url, commands))
    yield expected_of(commands)
    for name in ("ann", "superset"):
        with psycopg.connect(database_url) as connection:
            login = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (f"tixxety_analyst_{name}",))
        if login.rowcount:
            take_back(database_url, name)


def typed(kind: str, block: str) -> str:
    """A block as it is pasted into a shell."""
    return block if kind == "sh" else f"python3 - <<'END_OF_PROGRAM'\n{block}END_OF_PROGRAM\n"


def test_the_page_works_when_pasted(database_url: str, sold: Shown, tmp_path: Path) -> None:
    blocks = [typed(kind, block) for kind, block in PASTED.findall(PAGE)]
    with typed_words() as tixxety:
        environment = {"DATABASE_URL": database_url, "TIXXETY": tixxety, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
        done = subprocess.run(
            ["bash"],
            cwd=ROOT,
            input="set -e\n" + "".join(blocks) + "echo $SUPERSET_URL\n",
            env={**THE_PATH, **environment},
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    *_, superset_url = done.stdout.splitlines()
    assert superset_url.startswith("postgresql+psycopg2://tixxety_analyst_superset:")
    (written,) = tmp_path.rglob("reservations_of_this_moment.parquet")
    kept = {str(row["reservation_id"]): row["quantity"] for row in pq.read_table(written).to_pylist()}
    assert kept == {str(row["reservation_id"]): row["quantity"] for row in sold["reservations"].values()}
    by_status: dict[str, int] = {}
    for row in sold["reservations"].values():
        by_status[row["status"]] = by_status.get(row["status"], 0) + 1
    for status, reservations in by_status.items():
        assert re.search(rf"│ {status} +│ +{reservations} │", done.stdout)
    # Two accounts were refused as sold out, and one since sales had not opened; nobody of them has anything.
    assert re.search(r"^sold-out +2 +2$", done.stdout, re.MULTILINE)
    assert re.search(r"^sales-not-open +1 +1$", done.stdout, re.MULTILINE)


@pytest.fixture
def engine(database_url: str, sold: Shown) -> Iterator[sqlalchemy.Engine]:
    """As Superset comes: by SQLAlchemy and psycopg2, with the analyst's string."""
    url = make_url(hand_out(database_url, "superset")).set(drivername="postgresql+psycopg2")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    yield engine
    engine.dispose()


def test_a_bi_tool_finds_every_table_and_view_with_its_comments(engine: sqlalchemy.Engine) -> None:
    inspector = sqlalchemy.inspect(engine)
    assert inspector.default_schema_name == "projections"
    assert set(inspector.get_table_names("projections")) == {"checkpoint", *(table.name for table in TABLES)}
    assert set(inspector.get_view_names("projections")) == VIEWS.keys()
    for name in ("sales_curve", "capacity_changes"):
        assert all(column["comment"] for column in inspector.get_columns(name, "projections"))


@pytest.mark.parametrize(("query", "clicks"), CHART.findall(PAGE))
def test_each_chart_has_rows_and_every_column_that_is_to_be_chosen(
    engine: sqlalchemy.Engine, query: str, clicks: str
) -> None:
    # As a dataset of a BI tool: a part of another query.
    with engine.connect() as connection:
        shown = connection.execute(sqlalchemy.text(f"SELECT * FROM ({query}) AS dataset LIMIT 1000")).mappings().all()
    assert shown
    assert set(re.findall(r"`(\w+)`", clicks)) <= shown[0].keys()


def test_the_parts_of_the_string_are_what_asks_for_parts_needs(database_url: str, sold: Shown) -> None:
    url = make_url(hand_out(database_url, "ann"))
    parts = {"host": url.host, "port": url.port, "dbname": url.database, "user": url.username, "password": url.password}
    with psycopg.connect(**parts) as connection:
        rows = connection.execute("SELECT event_id FROM events").fetchall()
    assert {event_id for (event_id,) in rows} == sold["events"].keys()
