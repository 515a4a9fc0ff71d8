"""The table `audit_trail`: one row per step of an event or of a reservation, the index into the history."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from domain.domain_event import SYSTEM, DomainEvent
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
from domain.reservation import (
    ReservationCancelled,
    ReservationExpired,
    ReservationExtended,
    ReservationPaid,
    ReservationPlaced,
    ReservationReduced,
)
from projections.tables.table import Table

# A step of a reservation is told twice by its command: by the event at one position, by the reservation at the next.
# The event's side has no row of its own, since the reservation's has all that either is looked for by.
EVENT_SIDES: dict[type[DomainEvent], type[DomainEvent]] = {
    ReservationPlaced: TicketsHeld,
    ReservationExtended: HoldExtended,
    ReservationReduced: TicketsReduced,
    ReservationPaid: TicketsSold,
    ReservationExpired: TicketsReleased,
    ReservationCancelled: TicketsReleased,
}
OF_EVENTS = (
    EventCreated,
    EventDetailsChanged,
    CapacityChanged,
    SalesWindowChanged,
    LimitsChanged,
    TicketTypeAdded,
    PriceChanged,
    TicketsWithheld,
    TicketsReturned,
    EventCancelled,
)
RESERVATION_TOPICS = frozenset(domain_event.TOPIC for domain_event in EVENT_SIDES)
EVENT_SIDE_TOPICS = {theirs.TOPIC: ours.TOPIC for theirs, ours in EVENT_SIDES.items()}


class AuditRow(msgspec.Struct, frozen=True, gc=False):
    """A step's place and circumstances; the table's comments say what each column means."""

    position: int
    version: int
    type: str
    event_id: UUID
    reservation_id: UUID | None
    actor_id: str | None
    request_id: UUID
    recorded_at: datetime

    @property
    def stream(self) -> UUID:
        """The reservation or the event whose own domain event this is."""
        if self.reservation_id is None or self.type not in RESERVATION_TOPICS:
            return self.event_id
        return self.reservation_id


def fold(_row: AuditRow | None, _key: int, position: int, domain_event: Any) -> AuditRow:
    """The row of the domain event at `position`; of one that has no row in the table, what it would be."""
    stream = domain_event.originator_id
    if type(domain_event) in EVENT_SIDES:
        event_id, reservation_id = domain_event.event_id, stream
    else:
        event_id, reservation_id = stream, getattr(domain_event, "reservation_id", None)
    actor_id = domain_event.actor_id
    return AuditRow(
        position,
        domain_event.originator_version,
        domain_event.TOPIC,
        event_id,
        reservation_id,
        None if actor_id == SYSTEM else actor_id,
        domain_event.request_id,
        domain_event.timestamp,
    )


def _its_position(_domain_event: DomainEvent, position: int) -> tuple[int]:
    return (position,)


TABLE = Table(
    name="audit_trail",
    key="position",
    row=AuditRow,
    changed_keys=dict.fromkeys((*OF_EVENTS, *EVENT_SIDES), _its_position),
    births=frozenset((*OF_EVENTS, *EVENT_SIDES)),
    fold=fold,
    stream="stream",
    insert_only=True,
)
