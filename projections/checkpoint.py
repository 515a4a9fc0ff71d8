"""The checkpoint: how far the tables are folded, and the one way to move it."""

from datetime import datetime
from typing import Any, NamedTuple

from psycopg.rows import args_row

from eventstore.postgres.connections import Connection
from eventstore.postgres.round_trips import Statement

# Raised with any change to a table or a fold; the tables are then rebuilt.
DEFINITIONS_VERSION = 8

# The tables of the version before have no `recent_changes`, and are read all the same until they are rebuilt.
READ = """
SELECT position, definitions_version, generation, folded_at, to_jsonb(checkpoint) -> 'recent_changes' FROM checkpoint
"""
POSITION = Statement("position", "SELECT position FROM checkpoint")
BEGIN = "INSERT INTO checkpoint (definitions_version) VALUES (%(definitions_version)s)"
ADVANCE = """
UPDATE checkpoint SET position = %(position)s, folded_at = clock_timestamp(),
                      recent_changes = %(recent_changes)s::json
WHERE position = %(position_before)s AND generation = %(generation)s
RETURNING position
"""


class Checkpoint(NamedTuple):
    """Up to `position` all is folded, by code of `definitions_version`; `generation` names this set of tables.

    `recent_changes` is what `RecentChanges` has written.
    """

    position: int
    definitions_version: int
    generation: int
    folded_at: datetime
    recent_changes: dict[str, Any] | None


async def begin(connection: Connection) -> None:
    """Put the tables that were just made at position 0."""
    await connection.execute(BEGIN, {"definitions_version": DEFINITIONS_VERSION})


async def read(connection: Connection) -> Checkpoint:
    """Where the projections stand now."""
    cursor = connection.cursor(row_factory=args_row(Checkpoint))
    await cursor.execute(READ)
    (row,) = await cursor.fetchall()
    return row
