"""Reading the history in its one order, whole commands at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from domain.domain_event import DomainEvent
from eventstore.codec import decode
from eventstore.postgres.connections import Connection

NOW = "SELECT clock_timestamp()"
HEAD = "SELECT coalesce(max(notification_id), 0) FROM stored_events"
FINAL_HEAD = "SELECT coalesce(max(notification_id), 0), pg_is_in_recovery() FROM stored_events"
READ_AFTER = """
SELECT notification_id, command_position, originator_id, originator_version, topic, state
FROM stored_events WHERE notification_id > %(after)s ORDER BY notification_id LIMIT %(limit)s
"""

READ_STREAM_AFTER = """
SELECT notification_id, command_position, originator_id, originator_version, topic, state
FROM stored_events WHERE originator_id = %(stream_id)s AND originator_version > %(version)s
ORDER BY originator_version LIMIT %(limit)s
"""
READ_AT = """
SELECT notification_id, command_position, originator_id, originator_version, topic, state
FROM stored_events WHERE notification_id = ANY(%(positions)s::bigint[])
"""
PLACES_AFTER = """
SELECT originator_version, notification_id, topic FROM stored_events
WHERE originator_id = %(stream_id)s AND originator_version > %(version)s
  AND (cardinality(%(topics)s::text[]) = 0 OR topic = ANY(%(topics)s::text[]))
  AND (cardinality(%(any_of)s::bytea[]) = 0
       OR EXISTS (SELECT FROM unnest(%(any_of)s::bytea[]) AS part WHERE position(part IN state) > 0))
ORDER BY originator_version LIMIT %(limit)s
"""
# Halves the versions (`low`, `high`), of which the first was recorded before the position and the second was not.
VERSION_BEFORE = """
WITH RECURSIVE halves (low, high) AS (
    SELECT 0::bigint, coalesce(max(originator_version), 0) + 1 FROM stored_events WHERE originator_id = %(stream_id)s
    UNION ALL
    SELECT CASE WHEN notification_id < %(position)s THEN originator_version ELSE low END,
           CASE WHEN notification_id < %(position)s THEN high ELSE originator_version END
    FROM halves JOIN stored_events
        ON originator_id = %(stream_id)s AND originator_version = (low + high) / 2
    WHERE high - low > 1
)
SELECT low FROM halves ORDER BY high - low LIMIT 1
"""
FIRST_AFTER = """
SELECT position, recorded_at FROM history WHERE position > %(after)s ORDER BY position LIMIT 1
"""


class Recorded(NamedTuple):
    """A domain event and its place in the history; `command_position` is the last position of its command."""

    position: int
    command_position: int
    domain_event: DomainEvent


class StoredRow(NamedTuple):
    """A domain event as it is stored; `topic` is its type and `state` all else of it, as JSON."""

    position: int
    command_position: int
    stream_id: UUID
    version: int
    topic: str
    state: bytes

    def recorded(self) -> Recorded:
        """What it says. Raises for a row that can't be a domain event."""
        return Recorded(self.position, self.command_position, decode(*self[2:]))


class Place(NamedTuple):
    """Where in its stream and where in the history a domain event stands, and its type."""

    version: int
    position: int
    topic: str


async def now(connection: Connection) -> datetime:
    """What the database's clock says."""
    ((instant,),) = await (await connection.execute(NOW)).fetchall()
    return cast(datetime, instant)


async def head(connection: Connection) -> int:
    """The last position; 0 when nothing was recorded yet."""
    rows = await (await connection.execute(HEAD)).fetchall()
    return int(rows[0][0])


async def final_head(connection: Connection) -> int | None:
    """The same, where nothing can have been recorded behind it; None on a standby, which hears of things late."""
    rows = await (await connection.execute(FINAL_HEAD)).fetchall()
    return None if rows[0][1] else int(rows[0][0])


async def read_after(connection: Connection, position: int, limit: int) -> list[Recorded]:
    """The next domain events in order: `limit` of them and the rest of the last one's command."""
    return [Recorded(row[0], row[1], decode(*row[2:])) for row in await _whole_commands(connection, position, limit)]


async def rows_after(connection: Connection, position: int, limit: int) -> list[StoredRow]:
    """The same as they are stored."""
    return [StoredRow(*row) for row in await _whole_commands(connection, position, limit)]


async def stream_after(
    connection: Connection, stream_id: UUID, version: int, limit: int, *, prepare: bool | None = None
) -> list[StoredRow]:
    """The next `limit` rows of one stream, in order; `prepare` is for connections that may keep a plan that scans."""
    values = {"stream_id": stream_id, "version": version, "limit": limit}
    cursor = await connection.execute(READ_STREAM_AFTER, values, binary=True, prepare=prepare)
    return [StoredRow(*row) for row in await cursor.fetchall()]


async def places_after(
    connection: Connection,
    stream_id: UUID,
    version: int,
    limit: int,
    topics: Sequence[str] = (),
    any_of: Sequence[bytes] = (),
) -> list[Place]:
    """Where the next `limit` domain events of one stream stand, in order.

    Of some types only, if any are given, and only those whose state contains any of some bytes, if such are. States
    are written without blanks, and text in them has no bare quotes, so that `"name":"value"` tells a value.
    """
    values: dict[str, Any] = {"stream_id": stream_id, "version": version, "limit": limit}
    values |= {"topics": list(topics), "any_of": list(any_of)}
    cursor = await connection.execute(PLACES_AFTER, values, binary=True, prepare=False)
    return [Place(*row) for row in await cursor.fetchall()]


async def version_before(connection: Connection, stream_id: UUID, position: int) -> int:
    """The last version of a stream that was recorded before a position; 0 if there is none.

    A search by halves; of a stream that has lost versions it may give an earlier one.
    """
    values = {"stream_id": stream_id, "position": position}
    ((version,),) = await (await connection.execute(VERSION_BEFORE, values, prepare=False)).fetchall()
    return int(version)


async def rows_at(connection: Connection, positions: Sequence[int]) -> dict[int, StoredRow]:
    """The rows at these positions; what the history has lost is left out."""
    cursor = await connection.execute(READ_AT, {"positions": list(positions)}, binary=True, prepare=False)
    return {row[0]: StoredRow(*row) for row in await cursor.fetchall()}


async def first_after(connection: Connection, position: int) -> tuple[int, datetime] | None:
    """Where and when the next domain event was recorded, whatever it is; None when there is none yet."""
    return await (await connection.execute(FIRST_AFTER, {"after": position})).fetchone()


async def _whole_commands(connection: Connection, position: int, limit: int) -> list[tuple[Any, ...]]:
    rows = await _rows(connection, position, limit)
    if rows and rows[-1][0] < rows[-1][1]:
        rows += await _rows(connection, rows[-1][0], rows[-1][1] - rows[-1][0])
    return rows


async def _rows(connection: Connection, position: int, limit: int) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(READ_AFTER, {"after": position, "limit": limit}, binary=True)
    return await cursor.fetchall()
