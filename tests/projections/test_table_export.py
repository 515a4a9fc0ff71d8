"""What was exported is the table or view: every row once, in the order of its key, with the position that it shows."""

import csv
import io
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg import sql

from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from projections import checkpoint
from projections.exporting import table_export
from projections.exporting.parquet import write_parquet
from projections.exporting.table_export import KEYS, TableNotMadeYet, TableUnknown, export_table
from projections.progress_callback import ProgressCallback
from tests.projections.histories import BoxOffice
from tests.projections.sold import fill

NAMES = list(KEYS)
TEXTS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "a=1", "'=1", "1-1"]
SET_TEXTS = """
UPDATE projections.reservations AS r SET currency = (%(texts)s::text[])[1 + n %% cardinality(%(texts)s::text[])]
FROM (SELECT reservation_id, row_number() OVER () AS n FROM projections.reservations) AS o
WHERE r.reservation_id = o.reservation_id
"""
ROWS = sql.SQL("SELECT * FROM {table} ORDER BY {key}")


@pytest.fixture
async def folded_url(database_url: str) -> str:
    """A box office with a random history that is folded, and refused attempts."""
    await fill(database_url, BoxOffice(1).commands(150))
    return database_url


def key_of(name: str) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, KEYS[name]))


def stored(database_url: str, name: str) -> list[dict[str, Any]]:
    """The rows by the primary key, and uuids and arrays as text."""
    with psycopg.connect(database_url, options="-c search_path=projections -c timezone=UTC") as connection:
        for oid in (psycopg.adapters.types["uuid"].oid, psycopg.adapters.types["int4"].array_oid):
            connection.adapters.register_loader(oid, psycopg.types.string.TextLoader)
        cursor = connection.execute(ROWS.format(table=sql.Identifier(name), key=key_of(name)))
        columns = [column.name for column in cursor.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


async def exported(database_url: str, name: str, write: table_export.Write) -> bytes:
    """What is written, after seeing that what is told of it is true."""
    file = io.BytesIO()
    told: list[int] = []
    done = await export_table(database_url, name, write, file, lambda rows, _about: told.append(rows))
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        assert done == ((await checkpoint.read(connection)).position, len(stored(database_url, name)))
    assert all(rows <= done.rows for rows in told)
    return file.getvalue()


@pytest.mark.parametrize("name", NAMES)
async def test_parquet_has_the_rows_in_their_types(folded_url: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "it.parquet").write_bytes(await exported(folded_url, name, write_parquet))
    table = pq.read_table(tmp_path / "it.parquet")
    rows = stored(folded_url, name)
    assert rows
    assert table.to_pylist() == [{column: as_number(column, value) for column, value in row.items()} for row in rows]
    async with await connect(folded_url) as connection:
        position = (await checkpoint.read(connection)).position
    assert table.schema.metadata[b"tixxety.table"] == name.encode()
    assert table.schema.metadata[b"tixxety.position"] == str(position).encode()


def as_number(column: str, value: Any) -> Any:
    """Money is exact in Parquet; rates and seconds are floats."""
    return float(value) if isinstance(value, Decimal) and not column.endswith("_minor") else value


@pytest.mark.parametrize("name", NAMES)
async def test_ndjson_has_the_rows_after_a_line_with_the_position(folded_url: str, name: str) -> None:
    first, *rows = map(json.loads, (await exported(folded_url, name, table_export.write_ndjson)).splitlines())
    async with await connect(folded_url) as connection:
        position = (await checkpoint.read(connection)).position
        as_json = await in_json(connection, name)
    assert first == {"kind": "table", "table": name, "position": position}
    assert rows == as_json


async def test_csv_has_no_cell_that_a_spreadsheet_takes_for_a_formula(folded_url: str, tmp_path: Path) -> None:
    with psycopg.connect(folded_url) as connection:
        connection.execute(SET_TEXTS, {"texts": TEXTS})
    rows = stored(folded_url, "reservations")
    assert {row["currency"] for row in rows} == set(TEXTS)
    written = (await exported(folded_url, "reservations", table_export.write_csv)).decode()
    for row, cells in zip(rows, csv.DictReader(io.StringIO(written, newline="")), strict=True):
        text = row["currency"]
        assert cells["currency"] == (f"'{text}" if text[0] in table_export.FORMULA_STARTS else text)
        assert cells["amount_minor"] == str(row["amount_minor"])
    as_they_are = [row["currency"] for row in rows]
    lines = (await exported(folded_url, "reservations", table_export.write_ndjson)).splitlines()[1:]
    assert [json.loads(line)["currency"] for line in lines] == as_they_are
    (tmp_path / "it.parquet").write_bytes(await exported(folded_url, "reservations", write_parquet))
    assert pq.read_table(tmp_path / "it.parquet")["currency"].to_pylist() == as_they_are


async def in_json(connection: Connection, name: str) -> list[dict[str, Any]]:
    query = sql.SQL("SELECT to_jsonb(one) FROM {} AS one ORDER BY {}").format(sql.Identifier(name), key_of(name))
    return [row for (row,) in await (await connection.execute(query)).fetchall()]


@pytest.mark.parametrize("name", NAMES)
async def test_csv_is_postgresqls_own(folded_url: str, name: str) -> None:
    written = await exported(folded_url, name, table_export.write_csv)
    rows = list(csv.DictReader(io.StringIO(written.decode(), newline="")))
    assert [{column: value or None for column, value in row.items()} for row in rows] == [
        {column: as_text(value) for column, value in row.items()} for row in stored(folded_url, name)
    ]
    with psycopg.connect(folded_url) as connection:
        copying = sql.SQL("COPY (SELECT * FROM projections.{}) TO STDOUT (FORMAT csv, HEADER)")
        with connection.cursor().copy(copying.format(sql.Identifier(name))) as copy:
            assert sorted(b"".join(copy).splitlines()) == sorted(written.splitlines())


def as_text(value: Any) -> str | None:
    """How CSV has it."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, datetime):
        whole, _, fraction = value.isoformat(" ").removesuffix("+00:00").partition(".")
        return f"{whole}.{fraction}".rstrip("0").rstrip(".") + "+00" if fraction else f"{whole}+00"
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


async def test_nothing_that_is_folded_meanwhile_is_in_it(folded_url: str) -> None:
    before = stored(folded_url, "reservations")

    async def write_late(
        connection: Connection, asked: table_export.Asked, file: io.BytesIO, on_progress: ProgressCallback
    ) -> int:
        """Before it copies anything, every row changes."""
        async with await connect(folded_url, role=WORKER_ROLE) as other:
            await other.execute("DELETE FROM reservations")
        return await table_export.write_csv(connection, asked, file, on_progress)

    file = io.BytesIO()
    done = await export_table(folded_url, "reservations", write_late, file, lambda _rows, _about: None)
    assert done.rows == len(before) > 10


async def test_a_table_that_is_none_of_the_projections_is_not_exported(database_url: str) -> None:
    for name in ("accounts", "stored_events", "checkpoint", "x"):
        with pytest.raises(TableUnknown, match=f"no table or view {name}: choose one of events"):
            await export_table(database_url, name, table_export.write_csv, io.BytesIO(), lambda _rows, _about: None)


async def test_a_view_that_an_older_version_did_not_make_is_told_with_the_remedy(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP VIEW projections.organisers")
    with pytest.raises(TableNotMadeYet, match=r"no organisers yet: .* Run tixxety rebuild first"):
        await export_table(database_url, "organisers", table_export.write_csv, io.BytesIO(), lambda _rows, _about: None)
