"""A whole on-sale as a line in time: for each command of an event what happened, and the counts after it."""

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from auditing.replay import streams
from auditing.replay.catalogue_rows import CatalogueRows
from auditing.replay.formatting import money, plain
from auditing.replay.streams import ConnectionSource
from domain.domain_event import SYSTEM
from domain.errors import spoken
from domain.event_facts import (
    CapacityChanged,
    EventCancelled,
    EventCreated,
    EventDetailsChanged,
    HoldExtended,
    LimitsChanged,
    PriceChanged,
    SalesWindowChanged,
    TicketsHeld,
    TicketsReduced,
    TicketsReleased,
    TicketsReturned,
    TicketsSold,
    TicketsWithheld,
    TicketTypeAdded,
)
from eventstore.reading import Recorded
from projections.tables.ticket_types import TicketTypeRow

RELEASED = {
    "expired": "expired",
    "buyer": "given back",
    "organiser": "cancelled by the organiser",
    "event-cancelled": "cancelled with the event",
}


class Step(NamedTuple):
    """A command of the event: `position` is its end, `what` happened in plain words, the counts are those after it."""

    position: int
    at: datetime
    actor_id: str
    request_id: UUID
    what: str
    ticket_types: list[TicketTypeRow]


class Timeline:
    """Makes steps of an event's stream as it goes by; memory is that of one command."""

    def __init__(self) -> None:
        self._rows = CatalogueRows()
        self._command: list[Recorded] = []

    def follow(self, recorded: Iterable[Recorded]) -> Iterator[Step]:
        """The steps that are complete with these domain events, the next of the stream. Raises `FoldFailed`."""
        for one in recorded:
            if self._command and self._command[0].command_position != one.command_position:
                yield self._step()
            self._command.append(one)

    def end(self) -> Iterator[Step]:
        """The last step, once the stream is at its end."""
        if self._command:
            yield self._step()

    def _step(self) -> Step:
        command, self._command = self._command, []
        self._rows.fold(command)
        names = {row.ticket_type_id: plain(row.name) for row in self._rows.ticket_types}
        last = command[-1]
        by_whom = next((one for one in command if one.domain_event.actor_id != SYSTEM), last).domain_event
        return Step(
            last.command_position,
            last.domain_event.timestamp,
            by_whom.actor_id,
            last.domain_event.request_id,
            what_happened([one.domain_event for one in command], names),
            self._rows.ticket_types,
        )


async def steps(connections: ConnectionSource, event_id: UUID) -> AsyncIterator[Step]:
    """Every step of an event up to now, in order, at constant memory. Raises `EventNotFound`."""
    timeline = Timeline()
    async for recorded in streams.of_event(connections, event_id):
        for step in timeline.follow(recorded):
            yield step
    for step in timeline.end():
        yield step


def what_happened(domain_events: list[Any], names: dict[UUID, str]) -> str:
    """A command in a few words; tickets of one type to which the same happened are added up."""
    said: dict[str, int] = {}
    for it in domain_events:
        match it:
            case TicketsHeld():
                said[f"{names[it.ticket_type_id]} held"] = it.quantity
            case HoldExtended():
                said[f"{names[it.ticket_type_id]} held longer"] = it.quantity
            case TicketsSold():
                said[f"{names[it.ticket_type_id]} paid"] = it.quantity
            case TicketsWithheld():
                said[f"{names[it.ticket_type_id]} withheld"] = it.quantity
            case TicketsReturned():
                said[f"{names[it.ticket_type_id]} back on sale"] = it.quantity
            case TicketsReduced():
                said[f"{names[it.ticket_type_id]} given back as a part"] = it.quantity
            case TicketsReleased():
                words = f"{names[it.ticket_type_id]} {RELEASED[it.reason]}"
                said[words] = said.get(words, 0) + it.quantity
            case _:
                said[_change(it, names)] = 0
    return ", ".join(f"{quantity:,} {words}" if quantity else words for words, quantity in said.items())


def _change(it: Any, names: dict[UUID, str]) -> str:
    match it:
        case EventCreated():
            return f"created: {plain(it.details.title)}"
        case EventDetailsChanged():
            return f"details changed: {plain(it.details.title)}, {spoken(it.details.starts_at)}"
        case CapacityChanged():
            return f"capacity of {names[it.ticket_type_id]} changed to {it.capacity:,}"
        case TicketTypeAdded(ticket_type=offer):
            price = money(offer.amount_minor, offer.currency)
            return f"ticket type {plain(offer.name)} added: {offer.capacity:,} at {price}"
        case PriceChanged():
            return f"price of {names[it.ticket_type_id]} changed to {it.amount_minor:,} in the minor unit"
        case SalesWindowChanged(sales_window=window):
            opens = spoken(window.sales_open_at) if window.sales_open_at else "at once"
            closes = spoken(window.sales_close_at) if window.sales_close_at else "with its end"
            return f"sales open {opens} and close {closes}"
        case LimitsChanged(limits=limits):
            return f"limits changed: {limits.max_per_buyer:,} a buyer, held for {limits.hold_seconds:,} s"
        case EventCancelled():
            return "event cancelled"
    raise AssertionError(f"nobody knows what {it!r} means")
