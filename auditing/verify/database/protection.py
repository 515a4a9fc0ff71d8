"""How this database protects the history from being changed by the login that verifies it."""

from auditing.verify.errors import TableAltered
from eventstore import append_only_status
from eventstore.postgres.connections import Connection

MAY_BE_EMPTY = """
SELECT attrelid::regclass::text, attname::text FROM pg_attribute
WHERE attrelid IN ('stored_events'::regclass, 'seals'::regclass, 'snapshots'::regclass)
  AND attnum > 0 AND NOT attisdropped AND NOT attnotnull
LIMIT 1
"""
BY_BOTH = "privileges and triggers"
PROTECTIONS = {
    (True, True): BY_BOTH,
    (True, False): "privileges alone",
    (False, True): "triggers alone",
    (False, False): "nothing",
}


async def expect_tables_unaltered(connection: Connection) -> None:
    """Raises `TableAltered` where a column that has to have a value may be empty."""
    row = await (await connection.execute(MAY_BE_EMPTY)).fetchone()
    if row is not None:
        raise TableAltered(f"The column {row[1]} of the table {row[0]} may be empty: its definition was altered.")


async def append_only(connection: Connection) -> str:
    """`privileges and triggers`, or what there is of them on every table that is only appended to."""
    found, tables = await append_only_status.read(connection), frozenset(append_only_status.APPEND_ONLY)
    return PROTECTIONS[found.by_privileges == tables, found.by_trigger == tables]
