"""Finds the stories that auditors ask for: one pass over an event's stream, and what was refused meanwhile."""

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from auditing.refusals import NoStory, NoSuchReservation
from auditing.sentences import OfPurchase
from auditing.story import Entry, Telling
from domain.refusals import EventNotFound
from domain.reservation import ReservationPlaced
from domain.ticketed_event import EventCreated
from eventstore import history, refused
from eventstore.connections import Connection
from eventstore.refused import RefusedAttempt

# Folded at a time, so that the event loop runs in between.
BATCH_ROWS = 500
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


async def of_reservation(connection: Connection, reservation_id: UUID) -> Story:
    """A reservation's story, with the refused attempts of anybody to pay or cancel it. Raises `NoSuchReservation`.

    Costs about 5 µs for each domain event of its event, and lets the event loop run in between.
    """
    rows = await history.stream_after(connection, reservation_id, 0, 1)
    placed = rows[0].recorded().domain_event if rows else None
    if not isinstance(placed, ReservationPlaced):
        raise NoSuchReservation
    attempts = await refused.of_reservation(connection, reservation_id, MOST_REFUSALS + 1)
    entries = await _told(connection, placed.event_id, lambda it: it.reservation_id == reservation_id, attempts)
    return Story(placed.event_id, placed.buyer_id, reservation_id, entries, len(attempts) <= MOST_REFUSALS)


async def of_buyer(connection: Connection, event_id: UUID, buyer_id: UUID) -> Story:
    """All that an account reserved or tried at an event, as `of_reservation`. Raises `EventNotFound`, `NoStory`."""
    attempts = await refused.of_buyer(connection, event_id, buyer_id, MOST_REFUSALS + 1)
    entries = await _told(connection, event_id, lambda it: it.buyer_id == buyer_id, attempts)
    if not entries:
        raise NoStory if await _exists(connection, event_id) else EventNotFound
    return Story(event_id, buyer_id, None, entries, len(attempts) <= MOST_REFUSALS)


async def _told(
    connection: Connection, event_id: UUID, is_told: Callable[[OfPurchase], bool], attempts: list[RefusedAttempt]
) -> list[Entry]:
    telling, version = Telling(is_told, attempts[:MOST_REFUSALS]), 0
    if not await _exists(connection, event_id):
        return telling.entries()
    while rows := await history.stream_after(connection, event_id, version, BATCH_ROWS):
        telling.hear([row.recorded() for row in rows])
        version = rows[-1].version
    return telling.entries()


async def _exists(connection: Connection, event_id: UUID) -> bool:
    """Whether there is an event of this id: a reservation's stream has one, too."""
    rows = await history.stream_after(connection, event_id, 0, 1)
    return bool(rows) and rows[0].topic == EventCreated.TOPIC
