"""The names that events have taken, kept beside the history in the same transaction."""

from uuid import UUID

from domain.event_facts import EventCancelled, EventCreated, EventDetailsChanged
from domain.organising import EventName, name_of
from eventstore.codec import decode
from eventstore.postgres import binary_parameters as binary
from eventstore.postgres.connections import Connection
from eventstore.postgres.round_trips import Statement, Trips

# Parameters: organiser, folded title, start; TAKE has the event as its fourth.
HOLDER = Statement(
    "name_holder", "SELECT event_id FROM event_names WHERE organiser_id = $1 AND title_folded = $2 AND starts_at = $3"
)
TAKE = Statement(
    "take_name",
    """
INSERT INTO event_names (organiser_id, title_folded, starts_at, event_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (event_id) DO UPDATE SET title_folded = excluded.title_folded, starts_at = excluded.starts_at
""",
)
FREE = Statement("free_name", "DELETE FROM event_names WHERE event_id = $1")
STATEMENTS = (HOLDER, TAKE, FREE)

FREE_ALL = "DELETE FROM event_names"
FILL = """
INSERT INTO event_names (organiser_id, title_folded, starts_at, event_id)
VALUES (%(organiser_id)s, %(title_folded)s, %(starts_at)s, %(event_id)s)
"""
FETCH_ROWS = 1_000
NAMING = """
SELECT originator_id, originator_version, topic, state FROM stored_events
WHERE topic = ANY(%(topics)s) ORDER BY notification_id
"""


async def holder(trips: Trips, name: EventName) -> UUID | None:
    """The event that has the name; the organiser's stream must be locked for the answer to hold."""
    (rows,) = await trips.go((HOLDER, _parameters(name)))
    return rows[0][0] if rows else None


async def take(trips: Trips, name: EventName, event_id: UUID) -> None:
    """Give the event this name instead of the one it had."""
    await trips.go((TAKE, (*_parameters(name), event_id.bytes)))


async def free(trips: Trips, event_id: UUID) -> None:
    """A cancelled event has no name."""
    await trips.go((FREE, (event_id.bytes,)))


async def make_again(connection: Connection) -> int:
    """Empty the table and fill it from the history; returns the number of names. Nothing may be appended meanwhile.

    Needs a transaction: the history is fetched in steps, since a session that reads for long in one piece looks like
    one whose client is silent, and those who wait for it would end it.

    Titles used to be kept as they were encoded: of two events that have one name since then, the first has it.
    """
    topics = [EventCreated.TOPIC, EventDetailsChanged.TOPIC, EventCancelled.TOPIC]
    organisers: dict[UUID, UUID] = {}
    names: dict[UUID, EventName] = {}
    async with connection.cursor("naming", binary=True) as cursor:
        cursor.itersize = FETCH_ROWS
        await cursor.execute(NAMING, {"topics": topics})
        async for row in cursor:
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
        await connection.execute(FILL, {**name._asdict(), "event_id": event_id})
    return len(holders)


def _parameters(name: EventName) -> tuple[bytes, bytes, bytes]:
    return name.organiser_id.bytes, name.title_folded.encode(), binary.timestamptz(name.starts_at)
