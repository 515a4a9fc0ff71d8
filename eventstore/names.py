"""The names that events have taken, kept beside the history in the same transaction."""

from uuid import UUID

from domain.organising import EventName, name_of
from domain.ticketed_event import EventCancelled, EventCreated, EventDetailsChanged
from eventstore.codec import decode
from eventstore.connections import Connection

HOLDER = """
SELECT event_id FROM event_names
WHERE organiser_id = %(organiser_id)s AND title_folded = %(title_folded)s AND starts_at = %(starts_at)s
"""
TAKE = """
INSERT INTO event_names (organiser_id, title_folded, starts_at, event_id)
VALUES (%(organiser_id)s, %(title_folded)s, %(starts_at)s, %(event_id)s)
ON CONFLICT (event_id) DO UPDATE SET title_folded = excluded.title_folded, starts_at = excluded.starts_at
"""
FREE = "DELETE FROM event_names WHERE event_id = %(event_id)s"
FREE_ALL = "DELETE FROM event_names"
NAMING = """
SELECT originator_id, originator_version, topic, state FROM stored_events
WHERE topic = ANY(%(topics)s) ORDER BY notification_id
"""


async def holder(connection: Connection, name: EventName) -> UUID | None:
    """The event that has the name; the organiser's stream must be locked for the answer to hold."""
    row = await (await connection.execute(HOLDER, name._asdict())).fetchone()
    return row[0] if row else None


async def take(connection: Connection, name: EventName, event_id: UUID) -> None:
    """Give the event this name instead of the one it had."""
    await connection.execute(TAKE, {**name._asdict(), "event_id": event_id})


async def free(connection: Connection, event_id: UUID) -> None:
    """A cancelled event has no name."""
    await connection.execute(FREE, {"event_id": event_id})


async def make_again(connection: Connection) -> int:
    """Empty the table and fill it from the history; returns the number of names. Nothing may be appended meanwhile.

    Titles used to be kept as they were encoded: of two events that have one name since then, the first has it.
    """
    topics = [EventCreated.TOPIC, EventDetailsChanged.TOPIC, EventCancelled.TOPIC]
    organisers: dict[UUID, UUID] = {}
    names: dict[UUID, EventName] = {}
    async with connection.cursor(binary=True) as cursor:
        async for row in cursor.stream(NAMING, {"topics": topics}):
            match decode(*row):
                case EventCreated(originator_id=event_id, organiser_id=organiser_id, details=details):
                    organisers[event_id] = organiser_id
                    names[event_id] = name_of(organiser_id, details)
                case EventDetailsChanged(originator_id=event_id, details=details):
                    names[event_id] = name_of(organisers[event_id], details)
                case EventCancelled(originator_id=event_id):
                    del names[event_id]
    holders: dict[EventName, UUID] = {}
    for event_id, name in names.items():
        holders.setdefault(name, event_id)
    await connection.execute(FREE_ALL)
    for name, event_id in holders.items():
        await take(connection, name, event_id)
    return len(holders)
