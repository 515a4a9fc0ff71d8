"""An event as it was at a past moment, folded from its own stream by the code that folds the live tables."""

from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from itertools import takewhile
from typing import NamedTuple
from uuid import UUID

from auditing.replay import streams
from auditing.replay.catalogue_rows import CatalogueRows
from auditing.replay.errors import BeyondTheEnd, InTheFuture, NotCreatedYet
from auditing.replay.streams import ConnectionSource
from domain.inventory import Hold
from domain.ticketed_event import TicketedEvent
from eventstore import reading
from eventstore.reading import Recorded
from eventstore.writing.aggregate_cache import fold
from projections.tables.events import EventRow
from projections.tables.ticket_types import TicketTypeRow


class Moment(NamedTuple):
    """An event as it stood from `position` on, the end of a command that was recorded `at`, until its next command.

    `holds` are the unpaid ones by reservation, due ones included until their expiry is recorded.
    """

    position: int
    at: datetime
    event: EventRow
    ticket_types: list[TicketTypeRow]
    holds: dict[UUID, Hold]


class Replay:
    """An event on its way along its stream."""

    def __init__(self) -> None:
        self._rows = CatalogueRows()
        self._event: TicketedEvent | None = None
        self._last: Recorded | None = None

    def fold(self, recorded: list[Recorded]) -> None:
        """Take the next domain events of the stream. Raises `FoldFailed`."""
        self._rows.fold(recorded)
        for one in recorded:
            self._event = fold(self._event, one.domain_event)
            self._last = one

    @property
    def moment(self) -> Moment | None:
        """How it stands; None before it was created. True at the end of a command only."""
        if self._event is None or self._last is None:
            return None
        at = self._last.domain_event.timestamp
        return Moment(self._last.command_position, at, self._rows.event, self._rows.ticket_types, self._event.holds)


async def at_position(connections: ConnectionSource, event_id: UUID, position: int) -> Moment:
    """The event after all of its commands that had ended by `position`.

    Raises `EventNotFound`, `NotCreatedYet`, and `BeyondTheEnd` of the history. Costs about 10 µs for each domain event
    of the event up to there, and lets the event loop run in between.
    """
    async with connections() as connection:
        last_position = await reading.head(connection)
    if position > last_position:
        raise BeyondTheEnd(last_position)
    return await _replay(connections, event_id, lambda one: one.command_position <= position)


async def at_instant(connections: ConnectionSource, event_id: UUID, at: datetime) -> Moment:
    """The event after all of its commands that were recorded by `at`, as `at_position` does it.

    Raises `EventNotFound`, `NotCreatedYet`, and `InTheFuture` by the database's clock.
    """
    async with connections() as connection:
        now = await reading.now(connection)
    if at > now:
        raise InTheFuture(at, now)
    return await _replay(connections, event_id, lambda one: one.domain_event.timestamp <= at)


async def _replay(connections: ConnectionSource, event_id: UUID, counts: Callable[[Recorded], bool]) -> Moment:
    replay, created = Replay(), None
    async with aclosing(streams.of_event(connections, event_id)) as parts:
        async for recorded in parts:
            created = created or recorded[0]
            counted = list(takewhile(counts, recorded))
            replay.fold(counted)
            if len(counted) < len(recorded):
                break
    if moment := replay.moment:
        return moment
    assert created is not None  # noqa: S101 - an event's stream begins with it
    raise NotCreatedYet(created.domain_event.timestamp, created.position)
