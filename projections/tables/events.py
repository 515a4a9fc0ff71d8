"""The table `events`: one row per event, what the catalogue shows."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.domain_event import DomainEvent
from domain.event_facts import (
    EventCancelled,
    EventCreated,
    EventDetailsChanged,
    LimitsChanged,
    SalesWindowChanged,
)
from projections.tables.table import RowMissing, Table, one_per_stream

COLUMNS = """
    event_id, organiser_id, title, description, street, city, state, country, starts_at, ends_at,
    sales_open_at, sales_close_at, max_per_buyer, hold_seconds, status, created_at, changed_at, cancelled_at, position
"""
READ = f"SELECT {COLUMNS} FROM events WHERE event_id = ANY(%(keys)s::uuid[])"  # noqa: S608
WRITE = f"""
INSERT INTO events ({COLUMNS})
SELECT {COLUMNS} FROM json_populate_recordset(NULL::events, %(events)s::json)
ON CONFLICT (event_id) DO UPDATE SET
    organiser_id = excluded.organiser_id, title = excluded.title, description = excluded.description,
    street = excluded.street, city = excluded.city, state = excluded.state, country = excluded.country,
    starts_at = excluded.starts_at, ends_at = excluded.ends_at, sales_open_at = excluded.sales_open_at,
    sales_close_at = excluded.sales_close_at, max_per_buyer = excluded.max_per_buyer,
    hold_seconds = excluded.hold_seconds, status = excluded.status, created_at = excluded.created_at,
    changed_at = excluded.changed_at, cancelled_at = excluded.cancelled_at, position = excluded.position
"""  # noqa: S608


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
    starts_at: datetime
    ends_at: datetime
    sales_open_at: datetime | None
    sales_close_at: datetime | None
    max_per_buyer: int
    hold_seconds: int
    status: Literal["scheduled", "cancelled"]
    created_at: datetime
    changed_at: datetime
    cancelled_at: datetime | None
    position: int


def fold(row: EventRow | None, event_id: UUID, position: int, domain_event: DomainEvent) -> EventRow:
    """The event's row after the domain event at `position`."""
    if isinstance(domain_event, EventCreated):
        return _created(domain_event, position)
    if row is None:
        raise RowMissing(f"event {event_id}")
    changes: dict[str, Any]
    match domain_event:
        case EventDetailsChanged(details=values) | SalesWindowChanged(sales_window=values):
            changes = msgspec.structs.asdict(values)
        case LimitsChanged(limits=values):
            changes = msgspec.structs.asdict(values)
        case EventCancelled():
            changes = {"status": "cancelled", "cancelled_at": domain_event.timestamp}
        case _:
            raise AssertionError(f"events do not fold {domain_event!r}")
    return replace(row, changed_at=domain_event.timestamp, position=position, **changes)


def _created(created: EventCreated, position: int) -> EventRow:
    values = msgspec.structs.asdict(created.details)
    values |= msgspec.structs.asdict(created.sales_window) | msgspec.structs.asdict(created.limits)
    return EventRow(
        event_id=created.originator_id,
        organiser_id=created.organiser_id,
        status="scheduled",
        created_at=created.timestamp,
        changed_at=created.timestamp,
        cancelled_at=None,
        position=position,
        **values,
    )


TABLE = Table(
    name="events",
    key="event_id",
    row=EventRow,
    changed_keys=dict.fromkeys(
        (EventCreated, EventDetailsChanged, SalesWindowChanged, LimitsChanged, EventCancelled), one_per_stream
    ),
    births=frozenset({EventCreated}),
    fold=fold,
    read=READ,
    write=WRITE,
    stream="event_id",
)
