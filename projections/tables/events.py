"""The table `events`: one row per event, what the catalogue shows."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.domain_event import DomainEvent
from domain.event_facts import (
    CapacityChanged,
    EventCancelled,
    EventCreated,
    EventDetails,
    EventDetailsChanged,
    LimitsChanged,
    PriceChanged,
    SalesWindowChanged,
    TicketsReturned,
    TicketsWithheld,
    TicketTypeAdded,
)
from projections.tables.table import RowMissing, Table, one_per_stream
from projections.text_keys import place_key


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """An event in the catalogue; the table's comments say what each column means."""

    event_id: UUID
    organiser_id: UUID
    title: str
    description: str | None
    street: str | None
    city: str | None
    state: str | None
    country: str | None
    city_key: str | None
    state_key: str | None
    country_key: str | None
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    sales_open_at: datetime | None
    sales_close_at: datetime | None
    max_per_buyer: int
    hold_seconds: int
    hold_extension_seconds: int
    status: Literal["scheduled", "cancelled"]
    created_at: datetime
    changed_at: datetime
    cancelled_at: datetime | None
    edition: int
    position: int


def fold(row: EventRow | None, event_id: UUID, position: int, domain_event: DomainEvent) -> EventRow:
    """The event's row after the domain event at `position`."""
    if isinstance(domain_event, EventCreated):
        return _created(domain_event, position)
    if row is None:
        raise RowMissing(f"event {event_id}")
    changes: dict[str, Any]
    match domain_event:
        case EventDetailsChanged(details=details):
            changes = _of_details(details)
        case SalesWindowChanged(sales_window=values):
            changes = msgspec.structs.asdict(values)
        case LimitsChanged(limits=values):
            changes = msgspec.structs.asdict(values)
        case EventCancelled():
            changes = {"status": "cancelled", "cancelled_at": domain_event.timestamp}
        case TicketTypeAdded() | PriceChanged() | CapacityChanged() | TicketsWithheld() | TicketsReturned():
            changes = {}
        case _:
            raise AssertionError(f"events do not fold {domain_event!r}")
    at, edition = domain_event.timestamp, domain_event.originator_version
    return replace(row, changed_at=at, edition=edition, position=position, **changes)


def _of_details(details: EventDetails) -> dict[str, Any]:
    keys = {f"{name}_key": place_key(getattr(details, name)) for name in ("city", "state", "country")}
    return msgspec.structs.asdict(details) | keys


def _created(created: EventCreated, position: int) -> EventRow:
    values = _of_details(created.details)
    values |= msgspec.structs.asdict(created.sales_window) | msgspec.structs.asdict(created.limits)
    return EventRow(
        event_id=created.originator_id,
        organiser_id=created.organiser_id,
        status="scheduled",
        created_at=created.timestamp,
        changed_at=created.timestamp,
        cancelled_at=None,
        edition=created.originator_version,
        position=position,
        **values,
    )


TABLE = Table(
    name="events",
    key="event_id",
    row=EventRow,
    changed_keys=dict.fromkeys(
        (
            EventCreated,
            EventDetailsChanged,
            SalesWindowChanged,
            LimitsChanged,
            TicketTypeAdded,
            PriceChanged,
            CapacityChanged,
            TicketsWithheld,
            TicketsReturned,
            EventCancelled,
        ),
        one_per_stream,
    ),
    births=frozenset({EventCreated}),
    fold=fold,
    stream="event_id",
)
