"""What keeps the history from being changed in this database, for whoever is logged in as we are."""

from auditing.verify.errors import TableAltered
from eventstore.postgres.connections import Connection

PROTECTION = """
SELECT NOT has_table_privilege('stored_events', 'UPDATE') AND NOT has_table_privilege('stored_events', 'DELETE')
       AND NOT has_table_privilege('stored_events', 'TRUNCATE'),
       (SELECT count(*) = 2 FROM pg_trigger
        WHERE tgrelid IN ('stored_events'::regclass, 'seals'::regclass) AND tgname = 'append_only'
          AND tgenabled IN ('O', 'A'))
"""
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
    """`privileges and triggers`, or what there is of them."""
    row = await (await connection.execute(PROTECTION)).fetchone()
    assert row is not None  # noqa: S101
    return PROTECTIONS[row]
