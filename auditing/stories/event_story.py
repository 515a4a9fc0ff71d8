"""The story of an event: who changed what from what to what, and when, and the sales between two changes in sums."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from auditing.replay.catalogue_rows import CatalogueRows
from auditing.stories import event_sentences
from auditing.stories.event_sentences import Change, Changed
from auditing.stories.sales_sums import SUMMED, SalesSum
from eventstore.reading import Recorded
from projections.tables.ticket_types import TicketTypeRow

SALES = "sales"

# Columns that say who and where, when, or what buyers did: a change of these is none that somebody made.
UNTOLD = {
    *("event_id", "organiser_id", "created_at", "changed_at", "cancelled_at", "edition", "position"),
    *("ticket_type_id", "place", "reserved", "paid"),
}


class EventStoryEntry(NamedTuple):
    """A change, or all sales between two changes: then `type` is `sales`, and nobody in particular is the actor.

    `first_position` and `first_at` are those of the first domain event, `at` is that of the last, and `position` the
    end of its command, which the event is known as of. `ticket_types` are the counts after it.
    """

    type: str
    first_position: int
    first_at: datetime
    position: int
    at: datetime
    actor_id: str | None
    request_id: UUID | None
    changes: list[Change]
    sales: list[SalesSum]
    ticket_types: list[TicketTypeRow]
    sentence: str


class EventStoryWriter:
    """Takes an event's stream from its beginning. Memory grows with its ticket types, never with the stream."""

    def __init__(self) -> None:
        self._rows = CatalogueRows()
        self._sold: list[Recorded] = []
        self._first: Recorded | None = None
        self._last: Recorded | None = None
        self._sums: dict[UUID, SalesSum] = {}
        self._created = False

    def fold(self, recorded: Sequence[Recorded]) -> Iterator[EventStoryEntry]:
        """The entries that are complete with these domain events, the next of the stream. Raises `FoldFailed`."""
        for one in recorded:
            if add := SUMMED.get(type(one.domain_event)):
                it: Any = one.domain_event
                self._first, self._last = self._first or one, one
                self._sold.append(one)
                total = self._sums.get(it.ticket_type_id)
                if total is None:
                    total = self._sums[it.ticket_type_id] = SalesSum(it.ticket_type_id)
                add(total, it)
            else:
                yield from self.end()
                yield self._changed(one)
        self._count()

    def end(self) -> Iterator[EventStoryEntry]:
        """The sales since the last change, if there are any."""
        self._count()
        first, last, self._first, self._last = self._first, self._last, None, None
        ticket_types = self._by_id()
        sums, self._sums = [self._sums[i] for i in ticket_types if i in self._sums], {}
        if first is None or last is None:
            return
        began_at, ended_at = first.domain_event.timestamp, last.domain_event.timestamp
        yield EventStoryEntry(
            SALES,
            first.position,
            began_at,
            last.command_position,
            ended_at,
            None,
            None,
            [],
            sums,
            self._rows.ticket_types,
            event_sentences.of_sales(sums, ticket_types, ended_at - began_at),
        )

    def _changed(self, one: Recorded) -> EventStoryEntry:
        it = one.domain_event
        before = self._told()
        self._rows.fold((one,))
        self._created = True
        after = self._told()
        changes = [
            Change(what, ticket_type_id, before.get((ticket_type_id, what)), value)
            for (ticket_type_id, what), value in after.items()
            if before.get((ticket_type_id, what)) != value
        ]
        changed = Changed(changes, self._rows.event, self._by_id())
        return EventStoryEntry(
            it.TOPIC,
            one.position,
            it.timestamp,
            one.command_position,
            it.timestamp,
            it.actor_id,
            it.request_id,
            changes,
            [],
            self._rows.ticket_types,
            event_sentences.of_change(it, changed),
        )

    def _count(self) -> None:
        """Bring the counts up to date with what was sold."""
        self._rows.fold(self._sold)
        self._sold.clear()

    def _told(self) -> dict[tuple[UUID | None, str], Any]:
        """All that somebody can change, by ticket type and column; empty before the event was created."""
        if not self._created:
            return {}
        rows: list[tuple[UUID | None, Any]] = [(None, self._rows.event)]
        rows += [(row.ticket_type_id, row) for row in self._rows.ticket_types]
        return {
            (ticket_type_id, column): value
            for ticket_type_id, row in rows
            for column, value in msgspec.structs.asdict(row).items()
            if column not in UNTOLD
        }

    def _by_id(self) -> dict[UUID, TicketTypeRow]:
        return {row.ticket_type_id: row for row in self._rows.ticket_types}
