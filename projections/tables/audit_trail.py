"""The table `audit_trail`: one row per domain event, the index into the history."""

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
    LimitsChanged,
    SalesWindowChanged,
    TicketsHeld,
    TicketsReleased,
    TicketsSold,
)
from domain.reservation import ReservationCancelled, ReservationExpired, ReservationPaid, ReservationPlaced
from projections.tables.table import Table

OF_EVENTS = (
    EventCreated,
    EventDetailsChanged,
    CapacityChanged,
    SalesWindowChanged,
    LimitsChanged,
    TicketsHeld,
    TicketsSold,
    TicketsReleased,
    EventCancelled,
)
OF_RESERVATIONS = (ReservationPlaced, ReservationPaid, ReservationExpired, ReservationCancelled)
RESERVATION_TOPICS = frozenset(domain_event.TOPIC for domain_event in OF_RESERVATIONS)


class AuditRow(msgspec.Struct, frozen=True, gc=False):
    """A domain event's place and circumstances; the table's comments say what each column means."""

    position: int
    stream: UUID
    version: int
    type: str
    event_id: UUID
    reservation_id: UUID | None
    actor_id: str | None
    request_id: UUID
    recorded_at: datetime


def fold(_row: AuditRow | None, _key: int, position: int, domain_event: Any) -> AuditRow:
    """The row of the domain event at `position`."""
    stream = domain_event.originator_id
    if isinstance(domain_event, OF_RESERVATIONS):
        event_id, reservation_id = domain_event.event_id, stream
    else:
        event_id, reservation_id = stream, getattr(domain_event, "reservation_id", None)
    actor_id = domain_event.actor_id
    return AuditRow(
        position,
        stream,
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
    changed_keys=dict.fromkeys(OF_EVENTS + OF_RESERVATIONS, _its_position),
    births=frozenset(OF_EVENTS + OF_RESERVATIONS),
    fold=fold,
    stream="stream",
    insert_only=True,
)
