"""The table `capacity_changes`: one row per ticket type and step that changed how many tickets are for sale."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from domain.domain_event import DomainEvent
from domain.event_facts import CapacityChanged, EventCreated, TicketsReturned, TicketsWithheld, TicketTypeAdded
from projections.tables.table import Table

Key = tuple[UUID, int]

# What changes how many tickets of one type are for sale.
STEPS = (CapacityChanged, TicketsWithheld, TicketsReturned)


class CapacityRow(msgspec.Struct, frozen=True, gc=False):
    """A step of a ticket type; the table's comments say what each column means."""

    ticket_type_id: UUID
    position: int
    event_id: UUID
    changed_at: datetime
    capacity: int | None = None
    withheld: int = 0


def fold(_row: None, key: Key, _position: int, domain_event: DomainEvent) -> CapacityRow:
    """The row that a domain event makes, whatever came before it."""
    row = CapacityRow(*key, domain_event.originator_id, domain_event.timestamp)
    match domain_event:
        case EventCreated(ticket_types=ticket_types):
            (offer,) = [offer for offer in ticket_types if offer.ticket_type_id == row.ticket_type_id]
            return msgspec.structs.replace(row, capacity=offer.capacity)
        case TicketTypeAdded(ticket_type=offer):
            return msgspec.structs.replace(row, capacity=offer.capacity)
        case CapacityChanged(capacity=capacity):
            return msgspec.structs.replace(row, capacity=capacity)
        case TicketsWithheld(quantity=quantity):
            return msgspec.structs.replace(row, withheld=quantity)
        case TicketsReturned(quantity=quantity):
            return msgspec.structs.replace(row, withheld=-quantity)
    raise AssertionError(f"capacities do not fold {domain_event!r}")


def _all_offered(created: EventCreated, position: int) -> list[Key]:
    return [(offer.ticket_type_id, position) for offer in created.ticket_types]


def _added(added: TicketTypeAdded, position: int) -> tuple[Key]:
    return ((added.ticket_type.ticket_type_id, position),)


def _named(domain_event: Any, position: int) -> tuple[Key]:
    return ((domain_event.ticket_type_id, position),)


TABLE = Table(
    name="capacity_changes",
    key=("ticket_type_id", "position"),
    row=CapacityRow,
    changed_keys={EventCreated: _all_offered, TicketTypeAdded: _added, **dict.fromkeys(STEPS, _named)},
    births=frozenset({EventCreated, TicketTypeAdded, *STEPS}),
    fold=fold,
    stream="event_id",
    insert_only=True,
)
