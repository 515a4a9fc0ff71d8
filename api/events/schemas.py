"""What organisers send: an event to create, or what to change of one, and the commands that follow."""

from collections.abc import Hashable, Iterable
from typing import Annotated, Any, Self
from uuid import UUID, uuid5

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from api.docs.example_values import SOME_TICKET_TYPE
from api.http.idempotency_keys import id_to_create
from api.http.inputs import Body, Currency, Id, Instant, Place, Text
from api.http.time_zones import TimeZone
from api.reservations.schemas import MOST_TICKETS_AT_ONCE
from domain.commands import Actor, ChangeEvent, CreateEvent
from domain.domain_event import Idempotency
from domain.event_facts import (
    DEFAULT_HOLD_SECONDS,
    DEFAULT_MAX_PER_BUYER,
    DEFAULT_TIME_ZONE,
    EventDetails,
    Limits,
    SalesWindow,
)
from domain.inventory import MOST_TICKET_TYPES, NO_CURRENCY, TicketType
from domain.stock.type_names import same_looking

MOST_TICKETS = 10_000_000
# Doubles, which JSON readers make of numbers, are exact up to here.
LARGEST_EXACT = 2**53 - 1
HIGHEST_PRICE_MINOR = LARGEST_EXACT // MOST_TICKETS_AT_ONCE
LONGEST_HOLD_SECONDS = 86_400
# What null restores where it can't stand for itself.
DEFAULTS = {
    "time_zone": DEFAULT_TIME_ZONE,
    "max_per_buyer": DEFAULT_MAX_PER_BUYER,
    "hold_seconds": DEFAULT_HOLD_SECONDS,
    "hold_extension_seconds": 0,
}
GENERAL_ADMISSION = "General admission"

Title = Annotated[str, Text(1, 200)]
Description = Annotated[str, Text(0, 10_000, running=True)]
Tickets = Annotated[int, Field(ge=1, le=MOST_TICKETS)]
PriceMinor = Annotated[
    int,
    Field(
        ge=0,
        le=HIGHEST_PRICE_MINOR,
        description="Of one ticket, in the minor unit; bounded so that every JSON reader keeps totals exact.",
    ),
]
HoldSeconds = Annotated[int, Field(ge=1, le=LONGEST_HOLD_SECONDS)]
HoldExtensionSeconds = Annotated[
    int,
    Field(ge=0, le=LONGEST_HOLD_SECONDS, description="By how much a buyer may extend a hold, once; 0: not offered."),
]
SalesClose = Annotated[Instant, Field(description="Null or left out: when the event ends.")]
SalesOpen = Annotated[Instant, Field(description="Null or left out: at once.")]


def _left_out() -> Any:
    """Stands where a field was not sent; without a default, the schema says that it may be left out and no more."""
    return None


class NewTicketType(Body):
    """A kind of ticket to sell; names differ within an event, and not in case, width or spaces alone."""

    name: Annotated[Title, Field(examples=["Standing"])]
    capacity: Tickets
    amount_minor: Annotated[PriceMinor, Field(examples=[4000])]
    currency: Currency

    def offer(self, ticket_type_id: UUID) -> TicketType:
        """The same with an id."""
        return TicketType(ticket_type_id=ticket_type_id, **self.model_dump())

    @field_validator("currency")
    @classmethod
    def _has_one_if_it_costs(cls, currency: str, info: ValidationInfo) -> str:
        if currency == NO_CURRENCY and info.data.get("amount_minor"):
            raise _broken("must name a currency, since the tickets are not free")
        return currency


class TicketTypeChange(Body):
    """How many tickets of a type there shall be, or what one costs in reservations to come, or both."""

    id: Annotated[Id, Field(examples=[SOME_TICKET_TYPE])]
    capacity: Tickets = Field(default_factory=_left_out)
    amount_minor: PriceMinor = Field(default_factory=_left_out, examples=[4000])

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.model_fields_set == {"id"}:
            raise _broken("must have a capacity or an amount_minor")
        return self


def _differ_by_name(ticket_types: list[NewTicketType]) -> list[NewTicketType]:
    names = (same_looking(ticket_type.name) for ticket_type in ticket_types)
    _refuse_twins(names, "must not have the same name twice, nor two that look the same")
    return ticket_types


def _differ_by_id(changes: list[TicketTypeChange]) -> list[TicketTypeChange]:
    _refuse_twins((change.id for change in changes), "must not have the same id twice")
    return changes


def _refuse_twins(values: Iterable[Hashable], problem: str) -> None:
    seen = list(values)
    if len(set(seen)) < len(seen):
        raise _broken(problem)


def _broken(problem: str) -> PydanticCustomError:
    return PydanticCustomError("broken_rule", problem)


NewTicketTypes = Annotated[
    list[NewTicketType], Field(min_length=1, max_length=MOST_TICKET_TYPES), AfterValidator(_differ_by_name)
]
TicketTypeChanges = Annotated[
    list[TicketTypeChange], Field(min_length=1, max_length=MOST_TICKET_TYPES), AfterValidator(_differ_by_id)
]


class EventTimes(Body):
    """The rules between instants that come in one body; each is told of the field that stands last in it."""

    @field_validator("ends_at", check_fields=False)
    @classmethod
    def _ends_after_it_starts(cls, ends_at: Any, info: ValidationInfo) -> Any:
        starts_at = info.data.get("starts_at")
        if starts_at and ends_at <= starts_at:
            raise _broken("must be later than starts_at")
        return ends_at

    @field_validator("sales_close_at", check_fields=False)
    @classmethod
    def _closes_by_the_end(cls, sales_close_at: Any, info: ValidationInfo) -> Any:
        ends_at = info.data.get("ends_at")
        if sales_close_at and ends_at and sales_close_at > ends_at:
            raise _broken("must not be later than ends_at")
        return sales_close_at

    @field_validator("sales_open_at", check_fields=False)
    @classmethod
    def _opens_before_it_closes(cls, sales_open_at: Any, info: ValidationInfo) -> Any:
        sales_close_at = info.data.get("sales_close_at") or info.data.get("ends_at")
        if sales_open_at and sales_close_at and sales_open_at >= sales_close_at:
            raise _broken("must be earlier than the close of sales")
        return sales_open_at


class NewEvent(EventTimes):
    """Either `total_tickets` (one free ticket type, "General admission") or `ticket_types` says what there is."""

    title: Title
    starts_at: Instant
    ends_at: Instant
    sales_close_at: SalesClose | None = None
    sales_open_at: SalesOpen | None = None
    description: Description | None = None
    street: Place | None = None
    city: Place | None = None
    state: Place | None = None
    country: Place | None = None
    time_zone: TimeZone = DEFAULT_TIME_ZONE
    max_per_buyer: Tickets = DEFAULT_MAX_PER_BUYER
    hold_seconds: HoldSeconds = DEFAULT_HOLD_SECONDS
    hold_extension_seconds: HoldExtensionSeconds = 0
    total_tickets: Tickets | None = None
    ticket_types: NewTicketTypes | None = Field(default=None, validate_default=True)

    @field_validator("ticket_types")
    @classmethod
    def _one_of_two(cls, ticket_types: Any, info: ValidationInfo) -> Any:
        if "total_tickets" in info.data and (info.data["total_tickets"] is None) == (ticket_types is None):
            raise _broken("either this or total_tickets must be given, and not both")
        return ticket_types

    def command(self, actor: Actor, request_id: UUID, idempotency: Idempotency | None) -> CreateEvent:
        """The command to create this event, with the ids of all that it creates."""
        event_id = id_to_create(idempotency)
        return CreateEvent(
            event_id=event_id,
            request_id=request_id,
            actor=actor,
            idempotency=idempotency,
            details=EventDetails(**{name: getattr(self, name) for name in EventDetails.__struct_fields__}),
            ticket_types=tuple(new.offer(uuid5(event_id, str(place))) for place, new in enumerate(self._offers())),
            sales_window=SalesWindow(sales_open_at=self.sales_open_at, sales_close_at=self.sales_close_at),
            limits=Limits(**{name: getattr(self, name) for name in Limits.__struct_fields__}),
        )

    def _offers(self) -> list[NewTicketType]:
        if self.total_tickets is None:
            return self.ticket_types or []
        general = NewTicketType(
            name=GENERAL_ADMISSION, capacity=self.total_tickets, amount_minor=0, currency=NO_CURRENCY
        )
        return [general]


class TicketsOfType(Body):
    """So many tickets of one type, to withhold from sale or to return to it."""

    quantity: Tickets
    ticket_type_id: Annotated[Id | None, Field(description="Needed only when the event has several.")] = None


class EventChange(EventTimes):
    """What is left out stays as it is, and null restores the default. A new ticket type has a route of its own."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"sales_close_at": "2030-06-21T15:00:00Z", "total_tickets": 600}]}
    )

    title: Title = Field(default_factory=_left_out)
    starts_at: Instant = Field(default_factory=_left_out)
    ends_at: Instant = Field(default_factory=_left_out)
    sales_close_at: SalesClose | None = Field(default_factory=_left_out)
    sales_open_at: SalesOpen | None = Field(default_factory=_left_out)
    description: Description | None = Field(default_factory=_left_out)
    street: Place | None = Field(default_factory=_left_out)
    city: Place | None = Field(default_factory=_left_out)
    state: Place | None = Field(default_factory=_left_out)
    country: Place | None = Field(default_factory=_left_out)
    time_zone: TimeZone | None = Field(default_factory=_left_out)
    max_per_buyer: Tickets | None = Field(default_factory=_left_out)
    hold_seconds: HoldSeconds | None = Field(default_factory=_left_out)
    hold_extension_seconds: HoldExtensionSeconds | None = Field(default_factory=_left_out)
    total_tickets: Tickets = Field(default_factory=_left_out, description="For an event with a single ticket type.")
    ticket_types: TicketTypeChanges = Field(default_factory=_left_out)

    @field_validator("ticket_types")
    @classmethod
    def _one_of_two(cls, ticket_types: Any, info: ValidationInfo) -> Any:
        if info.data.get("total_tickets") is not None:
            raise _broken("must not come with total_tickets")
        return ticket_types

    def command(
        self, event_id: UUID, actor: Actor, request_id: UUID, editions: frozenset[int] | None = None
    ) -> ChangeEvent:
        """The command to change what was sent and nothing else."""
        changes: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set - {"ticket_types"}}
        changes |= {name: default for name, default in DEFAULTS.items() if name in changes and changes[name] is None}
        if "ticket_types" in self.model_fields_set:
            changes["capacities"] = self._of_types("capacity")
            changes["prices"] = self._of_types("amount_minor")
        return ChangeEvent(event_id=event_id, request_id=request_id, actor=actor, editions=editions, **changes)

    def _of_types(self, name: str) -> dict[UUID, int]:
        return {change.id: getattr(change, name) for change in self.ticket_types if name in change.model_fields_set}
