"""Requests to change something, in the imperative. Every id that a command creates is fixed when it arrives."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from domain.domain_event import SYSTEM, Idempotency
from domain.event_facts import EventDetails, Limits, SalesWindow
from domain.inventory import TicketType


class Actor(msgspec.Struct, frozen=True):
    """The account that asks. An admin may do on any event what its organiser may."""

    account_id: UUID
    is_admin: bool = False


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """`actor` is None when the system acts by itself; `request_id` is unique to one request.

    A command names the streams that it reads and may add to. All of them belong to its event: whoever adds to one of
    them has locked the event.
    """

    event_id: UUID
    request_id: UUID
    actor: Actor | None = None
    idempotency: Idempotency | None = None

    # Whether it may give its event another name, or take its name away.
    changes_names: ClassVar[bool] = False

    @property
    def actor_id(self) -> str:
        return str(self.actor.account_id) if self.actor else SYSTEM

    @property
    def streams(self) -> tuple[UUID, ...]:
        """The streams that may be long, of each a `KeptAggregate`; that of the event first."""
        return (self.event_id,)

    @property
    def short_streams(self) -> tuple[UUID, ...]:
        """The streams of a few domain events, which are read from their beginning every time."""
        return ()

    @property
    def has_new_streams(self) -> bool:
        """Whether the ids of its short streams were made for this request: there is nothing in them to be read."""
        return False

    @property
    def locks(self) -> tuple[UUID, ...]:
        """The ids that other commands may name as well, so that one at a time may be decided."""
        return (self.event_id,)


class CreateEvent(Command, frozen=True, kw_only=True):
    changes_names: ClassVar[bool] = True

    actor: Actor
    details: EventDetails
    ticket_types: tuple[TicketType, ...]
    sales_window: SalesWindow
    limits: Limits


class OrganiserCommand(Command, frozen=True, kw_only=True):
    """A change of an event; with `editions` only where the event has one of these."""

    actor: Actor
    editions: frozenset[int] | None = None


class ChangeEvent(OrganiserCommand, frozen=True, kw_only=True):
    """What is UNSET stays as it is. `total_tickets` is the capacity of an event's only ticket type."""

    changes_names: ClassVar[bool] = True

    title: str | UnsetType = UNSET
    starts_at: datetime | UnsetType = UNSET
    ends_at: datetime | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    street: str | UnsetType | None = UNSET
    city: str | UnsetType | None = UNSET
    state: str | UnsetType | None = UNSET
    country: str | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    sales_open_at: datetime | UnsetType | None = UNSET
    sales_close_at: datetime | UnsetType | None = UNSET
    max_per_buyer: int | UnsetType = UNSET
    hold_seconds: int | UnsetType = UNSET
    hold_extension_seconds: int | UnsetType = UNSET
    capacities: dict[UUID, int] = {}
    prices: dict[UUID, int] = {}
    total_tickets: int | UnsetType = UNSET


class CancelEvent(OrganiserCommand, frozen=True, kw_only=True):
    changes_names: ClassVar[bool] = True


class AddTicketType(OrganiserCommand, frozen=True, kw_only=True):
    ticket_type: TicketType


class WithholdTickets(OrganiserCommand, frozen=True, kw_only=True):
    """Take tickets out of sale. `ticket_type_id` may be left out where the event has only one."""

    quantity: int
    ticket_type_id: UUID | None = None


class ReturnTickets(OrganiserCommand, frozen=True, kw_only=True):
    """Put withheld tickets back on sale. `ticket_type_id` may be left out where the event has only one."""

    quantity: int
    ticket_type_id: UUID | None = None


class ReservationCommand(Command, frozen=True, kw_only=True):
    """A command about one reservation of the event."""

    reservation_id: UUID

    @property
    def short_streams(self) -> tuple[UUID, ...]:
        return (self.reservation_id,)


class ReserveTickets(ReservationCommand, frozen=True, kw_only=True):
    """`ticket_type_id` may be left out where the event has only one.

    With an idempotency key, the reservation's id comes from the key, which another request may have used.
    """

    actor: Actor
    quantity: int
    ticket_type_id: UUID | None = None

    @property
    def has_new_streams(self) -> bool:
        return self.idempotency is None

    @property
    def locks(self) -> tuple[UUID, ...]:
        return (self.event_id, self.reservation_id) if self.idempotency else (self.event_id,)


class PayReservation(ReservationCommand, frozen=True, kw_only=True):
    actor: Actor
    payment_reference: str | None = None


class ExtendReservation(ReservationCommand, frozen=True, kw_only=True):
    """The buyer asks for more time to pay."""

    actor: Actor


class CancelReservation(ReservationCommand, frozen=True, kw_only=True):
    """`quantity` of its tickets are given back, all that are left where it is None."""

    actor: Actor
    quantity: int | None = None


class RevokeReservation(ReservationCommand, frozen=True, kw_only=True):
    """The organiser cancels one reservation of the event."""

    actor: Actor


class ExpireReservation(ReservationCommand, frozen=True, kw_only=True):
    """The system takes back tickets that were not paid in time."""


class WithdrawReservation(ReservationCommand, frozen=True, kw_only=True):
    """The system ends a reservation of a cancelled event."""
