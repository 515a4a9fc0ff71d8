"""Which tables of the history this connection's login can't change, and whether rights or triggers prevent it."""

from typing import NamedTuple

from eventstore.postgres.connections import Connection

APPEND_ONLY = ("stored_events", "seals", "audit_reads")
# In tgtype 8 is DELETE, 16 UPDATE and 32 TRUNCATE; 1 would be for each row. Only 'O' and 'A' fire in ordinary sessions.
READ = """
SELECT name,
       NOT (has_table_privilege(relation, 'UPDATE, DELETE, TRUNCATE') OR has_any_column_privilege(relation, 'UPDATE')),
       coalesce((SELECT bit_or(tgtype & 56) = 56 FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
                 WHERE tgrelid = relation AND tgenabled IN ('O', 'A') AND tgtype & 1 = 0 AND tgqual IS NULL
                   AND tgattr = '' AND proname = 'refuse_change'), false)
FROM unnest(%(tables)s::text[]) AS name, LATERAL (SELECT to_regclass(name)::oid AS relation) AS found
"""


class Guards(NamedTuple):
    """The tables that this login has no right to change, and those whose trigger refuses every change."""

    by_privileges: frozenset[str]
    by_trigger: frozenset[str]

    @property
    def unguarded(self) -> list[str]:
        """The tables that this login can change."""
        return sorted(set(APPEND_ONLY) - self.by_privileges - self.by_trigger)


async def read(connection: Connection) -> Guards:
    """The guards that are there now."""
    rows = await (await connection.execute(READ, {"tables": list(APPEND_ONLY)})).fetchall()
    return Guards(
        frozenset(name for name, by_privileges, _ in rows if by_privileges),
        frozenset(name for name, _, by_trigger in rows if by_trigger),
    )
