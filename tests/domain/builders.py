"""Fixed ids and instants, and one concert: the facts of its stream, and the commands that ask for them."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from domain.commands import Actor, AddTicketType, CancelEvent, ChangeEvent, CreateEvent, ReturnTickets, WithholdTickets
from domain.domain_event import Idempotency
from domain.event_facts import (
    CapacityChanged,
    EventCancelled,
    EventCreated,
    EventDetails,
    EventDetailsChanged,
    Limits,
    LimitsChanged,
    PriceChanged,
    SalesWindow,
    SalesWindowChanged,
    TicketsReturned,
    TicketsWithheld,
    TicketTypeAdded,
)
from domain.inventory import TicketType

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


def after(**units: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(**units)


YESTERDAY = after(days=-1)
DOORS = after(hours=8)
END = after(hours=11)
HOLD_SECONDS = 120
HOLD_OVER = after(seconds=HOLD_SECONDS)

CONCERT, OTHER_CONCERT = UUID(int=0xE1), UUID(int=0xE2)
ORGANISER, ADMIN, ANN, BOB, CLEO = (UUID(int=0xA0 + n) for n in range(5))
STANDING_ID, SEATED_ID, UNKNOWN_TYPE_ID = (UUID(int=0x70 + n) for n in range(3))
EARLIER_REQUEST, REQUEST, LATER_REQUEST = (UUID(int=0xF0 + n) for n in range(3))

STANDING = TicketType(ticket_type_id=STANDING_ID, name="Standing", capacity=10, amount_minor=2500, currency="EUR")
SEATED = TicketType(ticket_type_id=SEATED_ID, name="Seated", capacity=5, amount_minor=4000, currency="EUR")
DETAILS = EventDetails(title="Night of Strings", starts_at=DOORS, ends_at=END, city="Ghent", country="BE")
LIMITS = Limits(max_per_buyer=4, hold_seconds=HOLD_SECONDS)


def key(text: str, body: str = "the same body") -> Idempotency:
    """What an idempotency key with a request's body leaves in the history."""
    return Idempotency(hashlib.sha256(text.encode()).hexdigest(), hashlib.sha256(body.encode()).hexdigest())


def about(at: datetime, actor: UUID | str, stream_id: UUID = CONCERT) -> dict[str, Any]:
    """What every domain event carries; its version is counted when it is recorded."""
    return {
        "originator_id": stream_id,
        "originator_version": 0,
        "timestamp": at,
        "actor_id": str(actor),
        "request_id": EARLIER_REQUEST,
    }


def created(
    at: datetime = YESTERDAY,
    *,
    event_id: UUID = CONCERT,
    organiser: UUID = ORGANISER,
    ticket_types: tuple[TicketType, ...] = (STANDING,),
    capacity: int | None = None,
    sales_open_at: datetime | None = None,
    sales_close_at: datetime | None = None,
    max_per_buyer: int = LIMITS.max_per_buyer,
    hold_extension_seconds: int = 0,
    idempotency: Idempotency | None = None,
    **details: Any,
) -> EventCreated:
    """The concert is on the programme; `capacity` is that of each ticket type where it is given."""
    if capacity is not None:
        ticket_types = tuple(replace(ticket_type, capacity=capacity) for ticket_type in ticket_types)
    return EventCreated(
        **about(at, organiser, event_id),
        organiser_id=organiser,
        details=replace(DETAILS, **details),
        ticket_types=ticket_types,
        sales_window=SalesWindow(sales_open_at=sales_open_at, sales_close_at=sales_close_at),
        limits=replace(LIMITS, max_per_buyer=max_per_buyer, hold_extension_seconds=hold_extension_seconds),
        idempotency=idempotency,
    )


def details_changed(at: datetime = NOON, **details: Any) -> EventDetailsChanged:
    return EventDetailsChanged(**about(at, ORGANISER), details=replace(DETAILS, **details))


def capacity_changed(capacity: int, at: datetime = NOON, ticket_type_id: UUID = STANDING_ID) -> CapacityChanged:
    return CapacityChanged(**about(at, ORGANISER), ticket_type_id=ticket_type_id, capacity=capacity)


def price_changed(amount_minor: int, at: datetime = NOON, ticket_type_id: UUID = STANDING_ID) -> PriceChanged:
    return PriceChanged(**about(at, ORGANISER), ticket_type_id=ticket_type_id, amount_minor=amount_minor)


def type_added(
    ticket_type: TicketType = SEATED, place: int = 2, at: datetime = NOON, idempotency: Idempotency | None = None
) -> TicketTypeAdded:
    return TicketTypeAdded(**about(at, ORGANISER), ticket_type=ticket_type, place=place, idempotency=idempotency)


def withheld(
    quantity: int, at: datetime = NOON, ticket_type_id: UUID = STANDING_ID, idempotency: Idempotency | None = None
) -> TicketsWithheld:
    about_type: dict[str, Any] = {"ticket_type_id": ticket_type_id, "quantity": quantity, "idempotency": idempotency}
    return TicketsWithheld(**about(at, ORGANISER), **about_type)


def returned(
    quantity: int, at: datetime = NOON, ticket_type_id: UUID = STANDING_ID, idempotency: Idempotency | None = None
) -> TicketsReturned:
    about_type: dict[str, Any] = {"ticket_type_id": ticket_type_id, "quantity": quantity, "idempotency": idempotency}
    return TicketsReturned(**about(at, ORGANISER), **about_type)


def window_changed(
    at: datetime = NOON, *, sales_open_at: datetime | None = None, sales_close_at: datetime | None = None
) -> SalesWindowChanged:
    window = SalesWindow(sales_open_at=sales_open_at, sales_close_at=sales_close_at)
    return SalesWindowChanged(**about(at, ORGANISER), sales_window=window)


def limits_changed(at: datetime = NOON, **limits: int) -> LimitsChanged:
    return LimitsChanged(**about(at, ORGANISER), limits=replace(LIMITS, **limits))


def event_cancelled(
    at: datetime = NOON, *, by: UUID = ORGANISER, idempotency: Idempotency | None = None
) -> EventCancelled:
    return EventCancelled(**about(at, by), idempotency=idempotency)


def create(**changes: Any) -> CreateEvent:
    """Ask for the concert that `created` tells of."""
    asked = CreateEvent(
        event_id=CONCERT,
        request_id=REQUEST,
        actor=Actor(ORGANISER),
        details=DETAILS,
        ticket_types=(STANDING,),
        sales_window=SalesWindow(),
        limits=LIMITS,
    )
    return replace(asked, **changes)


def change(by: UUID = ORGANISER, **changes: Any) -> ChangeEvent:
    return replace(ChangeEvent(event_id=CONCERT, request_id=REQUEST, actor=Actor(by, by == ADMIN)), **changes)


def add_type(ticket_type: TicketType = SEATED, by: UUID = ORGANISER, **changes: Any) -> AddTicketType:
    asked = AddTicketType(event_id=CONCERT, request_id=REQUEST, actor=Actor(by, by == ADMIN), ticket_type=ticket_type)
    return replace(asked, **changes)


def withhold(quantity: int = 1, by: UUID = ORGANISER, **changes: Any) -> WithholdTickets:
    asked = WithholdTickets(event_id=CONCERT, request_id=REQUEST, actor=Actor(by, by == ADMIN), quantity=quantity)
    return replace(asked, **changes)


def return_tickets(quantity: int = 1, by: UUID = ORGANISER, **changes: Any) -> ReturnTickets:
    asked = ReturnTickets(event_id=CONCERT, request_id=REQUEST, actor=Actor(by, by == ADMIN), quantity=quantity)
    return replace(asked, **changes)


def cancel_event(by: UUID = ORGANISER, **changes: Any) -> CancelEvent:
    return replace(CancelEvent(event_id=CONCERT, request_id=REQUEST, actor=Actor(by, by == ADMIN)), **changes)
