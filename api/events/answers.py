"""What anyone sees of an event: the same shape from its domain events and from the projections."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from api.docs.example_values import SOME_EVENT, SOME_TICKET_TYPE
from api.http.cursors import Page
from api.http.inputs import Instant
from api.http.ready_json import renderer
from api.http.time_zones import LocalTime, local
from api.plumbing.kept_answers import Rendering
from domain.inventory import StockRecord
from domain.on_sale import OnSale
from domain.ticketed_event import EventRecord
from eventstore.writing.group_transaction import Outcome
from projections.queries.events_queries import ShownEvent
from projections.tables.events import EventRow

ON_SALE_DESCRIBED = (
    "What a buyer would meet: sales are `not-yet` open, `now` open, `sold-out` (not one ticket of any type is left) or "
    "`closed`; or the event is `ended` or `cancelled`."
)
CHANGES_AT_DESCRIBED = (
    "When `on_sale` changes next if nobody does anything: sales open or close, the event ends, or the first of the "
    "unpaid reservations runs out. Null: nothing is known to change it."
)
LOCAL_TIMES = ("starts_at", "ends_at", "sales_open_at", "sales_close_at")


class TicketTypeAnswer(BaseModel):
    """A ticket type and its tickets: available = capacity − withheld − reserved − paid."""

    id: Annotated[UUID, Field(examples=[SOME_TICKET_TYPE])]
    name: Annotated[str, Field(examples=["Standing"])]
    capacity: int
    amount_minor: Annotated[int, Field(description="The price of one, in the currency's minor unit.", examples=[4000])]
    currency: str
    reserved: int
    paid: int
    withheld: Annotated[int, Field(description="Taken out of sale by the organiser.")]
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
            withheld=stock.withheld,
            available=stock.available,
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
    hold_extension_seconds: int
    created_at: Instant
    cancelled_at: Instant | None
    edition: Annotated[
        int, Field(description="Rises with each change by the organiser, never with sales: for `If-Match`.")
    ]


class RecordedEvent(EventFacts):
    """An event with its instants also as a clock in its time zone shows them."""

    starts_at_local: LocalTime
    ends_at_local: LocalTime
    sales_open_at_local: LocalTime | None
    sales_close_at_local: LocalTime | None


class ListedEvent(RecordedEvent):
    """An event in a list, with its ticket types in the organiser's order."""

    description: Annotated[str | None, Field(description="In lists only with `with_description=true`.")] = None
    ticket_types: list[TicketTypeAnswer]
    on_sale: Annotated[OnSale, Field(description=ON_SALE_DESCRIBED, examples=["now"])]
    on_sale_changes_at: Annotated[Instant | None, Field(description=CHANGES_AT_DESCRIBED)]


class EventAnswer(ListedEvent):
    """An event as it stands, with its ticket types in the organiser's order."""

    description: str | None

    @classmethod
    def of_record(cls, record: EventRecord, at: datetime) -> Self:
        """An event as its own domain events tell it, and whether it was on sale at an instant."""
        created, cancelled, details = record.created, record.cancelled, record.details
        sales_window, sale = msgspec.structs.asdict(record.sales_window), record.sale_at(at)
        return cls(
            id=created.originator_id,
            organiser_id=created.organiser_id,
            status="cancelled" if cancelled else "scheduled",
            created_at=created.timestamp,
            cancelled_at=cancelled.timestamp if cancelled else None,
            edition=record.edition,
            ticket_types=[TicketTypeAnswer.of_record(stock) for stock in record.stock],
            on_sale=sale.on_sale,
            on_sale_changes_at=sale.changes_at,
            **msgspec.structs.asdict(details),
            **sales_window,
            **msgspec.structs.asdict(record.limits),
            **_local_times(msgspec.structs.asdict(details) | sales_window),
        )


def json_of(outcome: Outcome) -> bytes:
    """The `EventAnswer` to a command about an event, as ready JSON."""
    assert isinstance(outcome.answer, EventRecord)  # noqa: S101 - commands about events are answered so
    return EventAnswer.of_record(outcome.answer, outcome.decided_at).model_dump_json().encode()


class EventPage(Page[ListedEvent]):
    """A page of events."""


# From the rows of the projections.
render_ticket_type = renderer(TicketTypeAnswer, id="ticket_type_id")
_render_facts = renderer(EventFacts, id="event_id")


def render_recorded(row: EventRow) -> dict[str, Any]:
    """A `RecordedEvent` on its way out."""
    facts = msgspec.structs.asdict(_render_facts(row))
    return facts | _local_times(facts)


def render_event(shown: ShownEvent) -> dict[str, Any]:
    """An `EventAnswer` on its way out."""
    ticket_types, sale = [render_ticket_type(row) for row in shown.ticket_types], shown.sale
    rest = {"ticket_types": ticket_types, "on_sale": sale.on_sale, "on_sale_changes_at": sale.changes_at}
    return render_recorded(shown.event) | rest


def render_listed(shown: ShownEvent) -> dict[str, Any]:
    """A `ListedEvent` on its way out, without its description."""
    rendered = render_event(shown)
    del rendered["description"]
    return rendered


def rendering(body: bytes, shown: Sequence[ShownEvent]) -> Rendering:
    """What shows these events, until the first of their sales changes by time alone."""
    changes = [(changes_at - one.at).total_seconds() for one in shown if (changes_at := one.sale.changes_at)]
    return Rendering(body, min(changes, default=math.inf))


def _local_times(facts: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}_local": local(facts[name], facts["time_zone"]) for name in LOCAL_TIMES}
