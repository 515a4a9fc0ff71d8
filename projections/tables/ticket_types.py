"""The table `ticket_types`: one row per ticket type, how many tickets there are and how many are taken."""

from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.domain_event import DomainEvent
from domain.event_facts import (
    CapacityChanged,
    EventCreated,
    HoldExtended,
    PriceChanged,
    TicketsHeld,
    TicketsReduced,
    TicketsReleased,
    TicketsReturned,
    TicketsSold,
    TicketsWithheld,
    TicketTypeAdded,
)
from domain.inventory import TicketType
from projections.tables.table import RowMissing, Table


class TicketTypeRow(msgspec.Struct, frozen=True, gc=False):
    """A ticket type of an event; the table's comments say what each column means."""

    ticket_type_id: UUID
    event_id: UUID
    place: int
    name: str
    amount_minor: int
    currency: str
    capacity: int
    reserved: int
    paid: int
    withheld: int
    position: int

    @property
    def available(self) -> int:
        """Tickets left; a column of the table, too."""
        return self.capacity - self.withheld - self.reserved - self.paid


def fold(row: TicketTypeRow | None, ticket_type_id: UUID, position: int, domain_event: DomainEvent) -> TicketTypeRow:
    """The ticket type's row after the domain event at `position`."""
    if isinstance(domain_event, EventCreated):
        offers = enumerate(domain_event.ticket_types, start=1)
        place, offer = next(one for one in offers if one[1].ticket_type_id == ticket_type_id)
        return _offered(domain_event.originator_id, place, offer, position)
    if isinstance(domain_event, TicketTypeAdded):
        return _offered(domain_event.originator_id, domain_event.place, domain_event.ticket_type, position)
    if row is None:
        raise RowMissing(f"ticket type {ticket_type_id}")
    match domain_event:
        case TicketsHeld(quantity=quantity):
            return replace(row, reserved=row.reserved + quantity, position=position)
        case HoldExtended():
            # When tickets may be left again is part of what an event's readers are told.
            return replace(row, position=position)
        case TicketsSold(quantity=quantity):
            return replace(row, reserved=row.reserved - quantity, paid=row.paid + quantity, position=position)
        case TicketsReleased(quantity=quantity, was="held") | TicketsReduced(quantity=quantity, was="held"):
            return replace(row, reserved=row.reserved - quantity, position=position)
        case TicketsReleased(quantity=quantity) | TicketsReduced(quantity=quantity):
            return replace(row, paid=row.paid - quantity, position=position)
        case CapacityChanged(capacity=capacity):
            return replace(row, capacity=capacity, position=position)
        case PriceChanged(amount_minor=amount_minor):
            return replace(row, amount_minor=amount_minor, position=position)
        case TicketsWithheld(quantity=quantity):
            return replace(row, withheld=row.withheld + quantity, position=position)
        case TicketsReturned(quantity=quantity):
            return replace(row, withheld=row.withheld - quantity, position=position)
    raise AssertionError(f"ticket types do not fold {domain_event!r}")


def _offered(event_id: UUID, place: int, offer: TicketType, position: int) -> TicketTypeRow:
    return TicketTypeRow(
        event_id=event_id,
        place=place,
        reserved=0,
        paid=0,
        withheld=0,
        position=position,
        **msgspec.structs.asdict(offer),
    )


def _all_offered(created: EventCreated, _position: int) -> list[UUID]:
    return [offer.ticket_type_id for offer in created.ticket_types]


def _added(added: TicketTypeAdded, _position: int) -> tuple[UUID]:
    return (added.ticket_type.ticket_type_id,)


def _named(domain_event: Any, _position: int) -> tuple[UUID]:
    return (domain_event.ticket_type_id,)


TABLE = Table(
    name="ticket_types",
    key="ticket_type_id",
    row=TicketTypeRow,
    changed_keys={
        EventCreated: _all_offered,
        TicketTypeAdded: _added,
        PriceChanged: _named,
        CapacityChanged: _named,
        TicketsWithheld: _named,
        TicketsReturned: _named,
        TicketsHeld: _named,
        HoldExtended: _named,
        TicketsSold: _named,
        TicketsReduced: _named,
        TicketsReleased: _named,
    },
    births=frozenset({EventCreated, TicketTypeAdded}),
    fold=fold,
    stream="event_id",
)
