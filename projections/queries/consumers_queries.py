"""Queries about the consumers of the history: how far each has come, and how far it is behind."""

from typing import NamedTuple

from psycopg.rows import args_row

from eventstore.postgres.connections import Connection

# The projector and the sealing keep their checkpoint with what they make, all others in the table.
LAGS = """
SELECT name, consumer.position, head.position - consumer.position AS behind
FROM (SELECT 'projector' AS name, position FROM checkpoint
      UNION ALL
      SELECT 'sealing', coalesce((SELECT last_position FROM seals ORDER BY number DESC LIMIT 1), 0)
      UNION ALL
      SELECT name, position FROM consumers) AS consumer,
     (SELECT coalesce(max(notification_id), 0) AS position FROM stored_events) AS head
ORDER BY name
"""


class Lag(NamedTuple):
    """A consumer's checkpoint, and how many domain events the history has behind it."""

    name: str
    position: int
    behind: int


async def lags(connection: Connection) -> list[Lag]:
    """Every consumer there is, by name; all as of one moment."""
    cursor = connection.cursor(row_factory=args_row(Lag))
    await cursor.execute(LAGS)
    return await cursor.fetchall()
