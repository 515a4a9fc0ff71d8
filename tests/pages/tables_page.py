"""Writes docs/tables.md from the comments in the database: `python -m tests.pages.tables_page`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg

from projections.schema.views import VIEWS
from tests.pages.example_queries import EXAMPLES
from tixxety.embedded.server import EmbeddedPostgres
from tixxety.schema.migration import migrate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tables.md"

HEAD = """# Tables for analysts

This page is written by `python -m tests.pages.tables_page`, from the comments that stand in the database itself:
`\\d+ sales_by_minute` in psql shows the same. The examples run in the tests.

- **Getting in.** `tixxety analyst-url NAME` prints a connection string for psql, pandas or a BI tool: a login of its
  own that reads these tables and nothing else. A query may take 60 seconds there, and a transaction may idle as long.
- **One moment.** All tables are always at one position of the history, the checkpoint's. What is asked in one
  transaction sees one moment: `BEGIN ISOLATION LEVEL REPEATABLE READ;`, then any number of queries.
- **Fresh.** They are milliseconds behind the history; `SELECT * FROM freshness;` tells how far.
- **Units.** Money is in the minor unit of its currency (cents), and instants are in UTC. Accounts are opaque ids:
  nothing personal is here.
- **Files.** `tixxety export --table NAME` writes a table or a view as NDJSON, Parquet or CSV: as it is at one moment,
  in the order of its key. CSV is for spreadsheets: a text that they would take for a formula, since it begins with
  `=`, `+`, `-`, `@`, a tab or a line break, has a quote (`'`) before it. NDJSON and Parquet have every text as it is.
- **Nothing is lost by dropping them.** The tables are folded from the history and can be made again at any time.
- **NDJSON.** What `tixxety export --table NAME` writes begins with a line of its own, such as
  `{"kind": "table", "table": "events", "position": 42}`; an object a row follows.
"""
SECTION = """
## `{name}`

{comment}

| column | type | |
| --- | --- | --- |
{columns}
{key}
{question}

```sql
{query}
```
"""

RELATIONS = """
SELECT c.relname, obj_description(c.oid, 'pg_class'),
       (SELECT array_agg(a.attname::text ORDER BY place)
        FROM pg_index AS i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, place), pg_attribute AS a
        WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'v')
"""
COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""
ESCAPED_BAR = "\\|"
SHORT_TYPES = {"timestamp with time zone": "timestamptz", "double precision": "float8"}


def page(database_url: str) -> str:
    """The page, from a migrated database. Raises ValueError for a table or view without an example."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        relations = connection.execute(RELATIONS, {"schema": "projections"}).fetchall()
        columns = connection.execute(COLUMNS, {"schema": "projections"}).fetchall()
    rows: dict[str, list[str]] = {name: [] for name, _, _ in relations}
    for name, column, kind, comment in columns:
        rows[name].append(f"| `{column}` | {SHORT_TYPES.get(kind, kind)} | {comment.replace('|', ESCAPED_BAR)} |")
    relations.sort(key=lambda relation: list(EXAMPLES).index(relation[0]))
    return HEAD + "".join(
        _section(name, comment, key or VIEWS.get(name), rows[name]) for name, comment, key in relations
    )


def _section(name: str, comment: str, key: Sequence[str] | None, rows: list[str]) -> str:
    question, query = EXAMPLES[name]
    return SECTION.format(
        name=name,
        comment=comment,
        columns="\n".join(rows),
        key=f"\nKey: {', '.join(f'`{column}`' for column in key)}.\n" if key else "",
        question=question,
        query=query.strip(),
    )


def main() -> None:
    """Write the page, from an embedded database that is made for it."""
    with tempfile.TemporaryDirectory(prefix="tixxety-tables-") as folder:
        server = EmbeddedPostgres(Path(folder) / "home", durable=False)
        try:
            url = server.start()
            migrate(url)
            PAGE.write_text(page(url))
        finally:
            server.discard()


if __name__ == "__main__":
    main()
