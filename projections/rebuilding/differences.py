"""What two sets of the tables differ in, row by row and column by column, at one position."""

from typing import Any, NamedTuple

from psycopg import sql

from eventstore.postgres.connections import Connection

# So many rows of each table are shown; all are counted.
ROWS_SHOWN_MAX = 100

# Tables that both have, with their key and the columns that mean the same in both; computed ones follow from the rest.
COMPARABLE = """
SELECT a.relname, array_agg(c.attname ORDER BY c.attnum),
       (SELECT array_agg(k.attname ORDER BY k.attnum) FROM pg_index i JOIN pg_attribute k ON k.attrelid = b.oid
        WHERE i.indrelid = b.oid AND i.indisprimary AND k.attnum = ANY(i.indkey))
FROM pg_class a JOIN pg_class b USING (relname, relkind)
JOIN pg_attribute c ON c.attrelid = a.oid JOIN pg_attribute d ON d.attrelid = b.oid AND d.attname = c.attname
WHERE relkind = 'r' AND relname <> 'checkpoint'
  AND a.relnamespace = %(live)s::regnamespace AND b.relnamespace = %(fresh)s::regnamespace
  AND c.attnum > 0 AND d.attnum > 0 AND NOT c.attisdropped AND NOT d.attisdropped
  AND c.attgenerated = '' AND d.attgenerated = ''
  AND (c.atttypid, c.atttypmod) = (d.atttypid, d.atttypmod)
GROUP BY a.relname, b.oid ORDER BY a.relname
"""
COMPARE = sql.SQL("""
SELECT to_jsonb(live), to_jsonb(fresh), count(*) OVER ()
FROM (SELECT {columns} FROM {live}) AS live FULL JOIN (SELECT {columns} FROM {fresh}) AS fresh ON {same_key}
WHERE live IS DISTINCT FROM fresh ORDER BY {key} LIMIT {shown}
""")
SAME = sql.SQL("live.{0} = fresh.{0}")
EITHER = sql.SQL("coalesce(live.{0}, fresh.{0})")


class Difference(NamedTuple):
    """One column of one row, or a whole row where `column` is None and the row is missing on one side (None)."""

    table: str
    key: dict[str, Any]
    column: str | None
    live: Any
    rebuilt: Any

    def __str__(self) -> str:
        key = ", ".join(str(value) for value in self.key.values())
        if self.column is not None:
            return f"{self.table} {key}: {self.column} is {self.live!r}, and {self.rebuilt!r} by the history"
        where = "is missing" if self.live is None else "is not in the history"
        return f"{self.table} {key}: the row {where}"


class Differences(NamedTuple):
    """Those shown, by table and key, and how many rows differ in each table that was compared."""

    shown: list[Difference]
    rows: dict[str, int]


async def differences(connection: Connection, live: str, fresh: str) -> Differences:
    """Compare all tables that both schemas have, in the snapshot of the connection's transaction.

    Reads both as a whole: some seconds for a million rows. Memory is bounded by the rows shown.
    """
    found = Differences([], {})
    names = await connection.execute(COMPARABLE, {"live": live, "fresh": fresh})
    for table, columns, key in await names.fetchall():
        if not key or not set(key) <= set(columns):
            continue
        query = COMPARE.format(
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            live=sql.Identifier(live, table),
            fresh=sql.Identifier(fresh, table),
            same_key=sql.SQL(" AND ").join(SAME.format(sql.Identifier(name)) for name in key),
            key=sql.SQL(", ").join(EITHER.format(sql.Identifier(name)) for name in key),
            shown=sql.Literal(ROWS_SHOWN_MAX),
        )
        rows = await (await connection.execute(query)).fetchall()
        found.rows[table] = rows[0][2] if rows else 0
        for ours, theirs, _ in rows:
            found.shown.extend(_of_row(table, key, ours, theirs))
    return found


def _of_row(table: str, key: list[str], live: Any, rebuilt: Any) -> list[Difference]:
    there = live or rebuilt
    place = {name: there[name] for name in key}
    if live is None or rebuilt is None:
        return [Difference(table, place, None, live, rebuilt)]
    return [
        Difference(table, place, column, live[column], rebuilt[column])
        for column in live
        if live[column] != rebuilt[column]
    ]
