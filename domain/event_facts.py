"""The domain events of an event: what is recorded of it, and the values that they carry."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

import msgspec
from eventsourcing.domain import CanInitAggregate

from domain.domain_event import DomainEvent
from domain.inventory import TicketType

DEFAULT_HOLD_SECONDS = 120
DEFAULT_MAX_PER_BUYER = 1
DEFAULT_TIME_ZONE = "UTC"


class EventDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the catalogue shows of an event; its name is the title and the start. `time_zone` is a name of IANA."""

    title: str
    starts_at: datetime
    ends_at: datetime
    description: str | None = None
    street: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None
    time_zone: str = DEFAULT_TIME_ZONE


class SalesWindow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When tickets can be reserved: from `sales_open_at` (None: at once) to before `sales_close_at` (None: the end)."""

    sales_open_at: datetime | None = None
    sales_close_at: datetime | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many tickets one buyer may have of the event, and how long an unpaid reservation is held.

    A buyer may have a hold extended once, by `hold_extension_seconds`; 0 where that is not offered.
    """

    max_per_buyer: int
    hold_seconds: int
    hold_extension_seconds: int = 0


class EventCreated(DomainEvent, CanInitAggregate[UUID], frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "EventCreated"
    originator_topic: str = "TicketedEvent"

    organiser_id: UUID
    details: EventDetails
    ticket_types: tuple[TicketType, ...]
    sales_window: SalesWindow
    limits: Limits


class EventDetailsChanged(DomainEvent, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "EventDetailsChanged"

    details: EventDetails


class CapacityChanged(DomainEvent, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "CapacityChanged"

    ticket_type_id: UUID
    capacity: int


class TicketTypeAdded(DomainEvent, frozen=True, kw_only=True):
    """`place` is its place among the ticket types of the event: it is the last one so far."""

    TOPIC: ClassVar[str] = "TicketTypeAdded"

    ticket_type: TicketType
    place: int


class PriceChanged(DomainEvent, frozen=True, kw_only=True):
    """The price of one ticket from now on, in its type's currency; what is reserved keeps its amount."""

    TOPIC: ClassVar[str] = "PriceChanged"

    ticket_type_id: UUID
    amount_minor: int


class TicketsWithheld(DomainEvent, frozen=True, kw_only=True):
    """The organiser took so many tickets out of sale."""

    TOPIC: ClassVar[str] = "TicketsWithheld"

    ticket_type_id: UUID
    quantity: int


class TicketsReturned(DomainEvent, frozen=True, kw_only=True):
    """The organiser put so many withheld tickets back on sale."""

    TOPIC: ClassVar[str] = "TicketsReturned"

    ticket_type_id: UUID
    quantity: int


class SalesWindowChanged(DomainEvent, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "SalesWindowChanged"

    sales_window: SalesWindow


class LimitsChanged(DomainEvent, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "LimitsChanged"

    limits: Limits


class TicketsHeld(DomainEvent, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "TicketsHeld"

    reservation_id: UUID
    buyer_id: UUID
    ticket_type_id: UUID
    quantity: int
    hold_expires_at: datetime


class HoldExtended(DomainEvent, frozen=True, kw_only=True):
    """The buyer has until `hold_expires_at` from now on; once for each hold."""

    TOPIC: ClassVar[str] = "HoldExtended"

    reservation_id: UUID
    buyer_id: UUID
    ticket_type_id: UUID
    quantity: int
    hold_expires_at: datetime


class TicketsSold(DomainEvent, frozen=True, kw_only=True):
    """`amount_minor` is what was paid for all `quantity` tickets."""

    TOPIC: ClassVar[str] = "TicketsSold"

    reservation_id: UUID
    buyer_id: UUID
    ticket_type_id: UUID
    quantity: int
    amount_minor: int
    currency: str


class TicketsReduced(DomainEvent, frozen=True, kw_only=True):
    """`quantity` tickets of a purchase are for sale again, and `quantity_left` of it stay held or sold, as they were.

    `refund_due_minor` is what was paid for those given back; 0 when nothing was paid.
    """

    TOPIC: ClassVar[str] = "TicketsReduced"

    reservation_id: UUID
    buyer_id: UUID
    ticket_type_id: UUID
    quantity: int
    quantity_left: int
    was: Literal["held", "sold"]
    refund_due_minor: int
    currency: str


class TicketsReleased(DomainEvent, frozen=True, kw_only=True):
    """Tickets are for sale again; `was` tells whether they were held or sold before.

    `refund_due_minor` is what was paid for them and has to be given back; 0 when nothing was paid.
    """

    TOPIC: ClassVar[str] = "TicketsReleased"

    reservation_id: UUID
    buyer_id: UUID
    ticket_type_id: UUID
    quantity: int
    was: Literal["held", "sold"]
    reason: Literal["expired", "buyer", "organiser", "event-cancelled"]
    refund_due_minor: int
    currency: str


class EventCancelled(DomainEvent, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "EventCancelled"
