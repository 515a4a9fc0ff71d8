"""What anyone sees of an event: the same shape from its domain events and from the projections."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from api.docs.example_values import SOME_EVENT, SOME_TICKET_TYPE
from api.http.cursors import Page
from api.http.inputs import Instant
from api.http.ready_json import encode, renderer
from api.http.time_zones import LocalTime, local
from domain.ticketed_event import EventRecord, StockRecord
from projections.queries.events_queries import EventWithTicketTypes
from projections.tables.events import EventRow

LOCAL_TIMES = ("starts_at", "ends_at", "sales_open_at", "sales_close_at")


class TicketTypeAnswer(BaseModel):
    """A ticket type and its tickets: available = capacity − reserved − paid."""

    id: Annotated[UUID, Field(examples=[SOME_TICKET_TYPE])]
    name: Annotated[str, Field(examples=["Standing"])]
    capacity: int
    amount_minor: Annotated[int, Field(description="The price of one, in the currency's minor unit.", examples=[4000])]
    currency: str
    reserved: int
    paid: int
    available: int

    @classmethod
    def of_record(cls, stock: StockRecord) -> Self:
        """A ticket type as the event's domain events tell it."""
        return cls(
            id=stock.offer.ticket_type_id,
            name=stock.offer.name,
            capacity=stock.capacity,
            amount_minor=stock.offer.amount_minor,
            currency=stock.offer.currency,
            reserved=stock.held,
            paid=stock.sold,
            available=stock.capacity - stock.held - stock.sold,
        )


class EventFacts(BaseModel):
    """An event as recorded. Sales are open from `sales_open_at` (null: at once) to `sales_close_at` (null: the end)."""

    id: Annotated[UUID, Field(examples=[SOME_EVENT])]
    organiser_id: UUID
    title: str
    description: str | None
    starts_at: Instant
    ends_at: Instant
    street: str | None
    city: str | None
    state: str | None
    country: str | None
    time_zone: Annotated[str, Field(description="IANA's name; `UTC` where none was said.", examples=["Europe/Riga"])]
    status: Literal["scheduled", "cancelled"]
    sales_open_at: Instant | None
    sales_close_at: Instant | None
    max_per_buyer: int
    hold_seconds: int
    created_at: Instant
    cancelled_at: Instant | None


class ListedEvent(EventFacts):
    """An event in a list, with its instants also as a clock in its time zone shows them."""

    starts_at_local: LocalTime
    ends_at_local: LocalTime
    sales_open_at_local: LocalTime | None
    sales_close_at_local: LocalTime | None


class EventAnswer(ListedEvent):
    """An event as it stands, with its ticket types in the organiser's order."""

    ticket_types: list[TicketTypeAnswer]

    @classmethod
    def of_record(cls, record: EventRecord) -> Self:
        """An event as its own domain events tell it."""
        created, cancelled, details = record.created, record.cancelled, record.details
        sales_window = msgspec.structs.asdict(record.sales_window)
        return cls(
            id=created.originator_id,
            organiser_id=created.organiser_id,
            status="cancelled" if cancelled else "scheduled",
            created_at=created.timestamp,
            cancelled_at=cancelled.timestamp if cancelled else None,
            ticket_types=[TicketTypeAnswer.of_record(stock) for stock in record.stock],
            **msgspec.structs.asdict(details),
            **sales_window,
            **msgspec.structs.asdict(record.limits),
            **_local_times(msgspec.structs.asdict(details) | sales_window),
        )


class EventPage(Page[ListedEvent]):
    """A page of events."""


# From the rows of the projections.
render_ticket_type = renderer(TicketTypeAnswer, id="ticket_type_id")
_render_facts = renderer(EventFacts, id="event_id")


def render_listed(row: EventRow) -> dict[str, Any]:
    """A `ListedEvent` on its way out."""
    facts = msgspec.structs.asdict(_render_facts(row))
    return facts | _local_times(facts)


def json_of_rows(rows: EventWithTicketTypes) -> bytes:
    """An `EventAnswer` as the projections have it, as ready JSON."""
    ticket_types = [render_ticket_type(row) for row in rows.ticket_types]
    return encode(render_listed(rows.event) | {"ticket_types": ticket_types})


def _local_times(facts: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}_local": local(facts[name], facts["time_zone"]) for name in LOCAL_TIMES}
