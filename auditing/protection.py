"""What keeps the history from being changed in this database, for whoever is logged in as we are."""

from eventstore.connections import Connection

PROTECTION = """
SELECT NOT has_table_privilege('stored_events', 'UPDATE') AND NOT has_table_privilege('stored_events', 'DELETE')
       AND NOT has_table_privilege('stored_events', 'TRUNCATE'),
       (SELECT count(*) = 2 FROM pg_trigger
        WHERE tgrelid IN ('stored_events'::regclass, 'seals'::regclass) AND tgname = 'append_only'
          AND tgenabled IN ('O', 'A'))
"""
BY_BOTH = "privileges and triggers"
PROTECTIONS = {
    (True, True): BY_BOTH,
    (True, False): "privileges alone",
    (False, True): "triggers alone",
    (False, False): "nothing",
}


async def append_only(connection: Connection) -> str:
    """`privileges and triggers`, or what there is of them."""
    row = await (await connection.execute(PROTECTION)).fetchone()
    assert row is not None  # noqa: S101
    return PROTECTIONS[row]
