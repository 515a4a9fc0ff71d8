"""Finds the stories that auditors ask for: one pass over an event's stream, and what was refused meanwhile."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple
from uuid import UUID

from auditing.replay import streams
from auditing.replay.errors import NoStory, NoSuchReservation
from auditing.replay.streams import ConnectionSource
from auditing.stories.event_story import EventStoryEntry, EventStoryWriter
from auditing.stories.story import Entry, StoryWriter
from domain.errors import EventNotFound
from domain.reservation import ReservationPlaced
from eventstore import reading
from eventstore.writing import refused_attempts

# Told of in one story; a program that tries for days is refused more often.
MOST_REFUSALS = 10_000


class Story(NamedTuple):
    """What an account did and tried at an event, in order; with a reservation, of that one alone.

    `is_whole` is False when more attempts were refused than are told.
    """

    event_id: UUID
    buyer_id: UUID
    reservation_id: UUID | None
    entries: list[Entry]
    is_whole: bool


async def of_reservation(connections: ConnectionSource, reservation_id: UUID) -> Story:
    """A reservation's story, with the refused attempts of anybody to pay or cancel it. Raises `NoSuchReservation`.

    Costs about 10 µs for each domain event of its event, and lets the event loop run in between.
    """
    async with connections() as connection:
        rows = await reading.stream_after(connection, reservation_id, 0, 1)
        placed = rows[0].recorded().domain_event if rows else None
        if not isinstance(placed, ReservationPlaced):
            raise NoSuchReservation
        attempts = await refused_attempts.of_reservation(connection, reservation_id, MOST_REFUSALS + 1)
    writer = StoryWriter(lambda it: it.reservation_id == reservation_id, attempts[:MOST_REFUSALS])
    await _tell(connections, placed.event_id, writer)
    is_whole = len(attempts) <= MOST_REFUSALS
    return Story(placed.event_id, placed.buyer_id, reservation_id, writer.entries(), is_whole)


async def of_buyer(connections: ConnectionSource, event_id: UUID, buyer_id: UUID) -> Story:
    """All that an account reserved or tried at an event, as `of_reservation`. Raises `EventNotFound`, `NoStory`."""
    async with connections() as connection:
        attempts = await refused_attempts.of_buyer(connection, event_id, buyer_id, MOST_REFUSALS + 1)
    writer = StoryWriter(lambda it: it.buyer_id == buyer_id, attempts[:MOST_REFUSALS])
    try:
        await _tell(connections, event_id, writer)
    except EventNotFound:
        # There may have been attempts all the same.
        if not attempts:
            raise
    if not (entries := writer.entries()):
        raise NoStory
    return Story(event_id, buyer_id, None, entries, len(attempts) <= MOST_REFUSALS)


async def of_event(connections: ConnectionSource, event_id: UUID) -> AsyncGenerator[EventStoryEntry, None]:
    """What happened to an event, entry by entry. Raises `EventNotFound`.

    One pass over its stream at constant memory, as `of_reservation`; who has seen enough closes it.
    """
    writer = EventStoryWriter()
    async with aclosing(streams.of_event(connections, event_id)) as parts:
        async for recorded in parts:
            for entry in writer.fold(recorded):
                yield entry
    for entry in writer.end():
        yield entry


async def _tell(connections: ConnectionSource, event_id: UUID, writer: StoryWriter) -> None:
    async for recorded in streams.of_event(connections, event_id):
        writer.fold(recorded)
