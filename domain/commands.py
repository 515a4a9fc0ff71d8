"""Requests to change something, in the imperative. Every id that a command creates is fixed when it arrives."""

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from domain.aggregate import SYSTEM, Idempotency
from domain.event_facts import EventDetails, Limits, SalesWindow
from domain.inventory import TicketType


class Actor(msgspec.Struct, frozen=True):
    """The account that asks. An admin may do on any event what its organiser may."""

    account_id: UUID
    is_admin: bool = False


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """`actor` is None when the system acts by itself; `request_id` is unique to one request."""

    event_id: UUID
    request_id: UUID
    actor: Actor | None = None
    idempotency: Idempotency | None = None

    @property
    def actor_id(self) -> str:
        return str(self.actor.account_id) if self.actor else SYSTEM


class CreateEvent(Command, frozen=True, kw_only=True):
    actor: Actor
    details: EventDetails
    ticket_types: tuple[TicketType, ...]
    sales_window: SalesWindow
    limits: Limits


class ChangeEvent(Command, frozen=True, kw_only=True):
    """What is UNSET stays as it is. `total_tickets` is the capacity of an event's only ticket type."""

    actor: Actor
    title: str | UnsetType = UNSET
    starts_at: datetime | UnsetType = UNSET
    ends_at: datetime | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    street: str | UnsetType | None = UNSET
    city: str | UnsetType | None = UNSET
    state: str | UnsetType | None = UNSET
    country: str | UnsetType | None = UNSET
    sales_open_at: datetime | UnsetType | None = UNSET
    sales_close_at: datetime | UnsetType | None = UNSET
    max_per_buyer: int | UnsetType = UNSET
    hold_seconds: int | UnsetType = UNSET
    capacities: dict[UUID, int] = {}
    total_tickets: int | UnsetType = UNSET


class CancelEvent(Command, frozen=True, kw_only=True):
    actor: Actor


class ReserveTickets(Command, frozen=True, kw_only=True):
    """`ticket_type_id` may be left out where the event has only one."""

    actor: Actor
    reservation_id: UUID
    quantity: int
    ticket_type_id: UUID | None = None


class PayReservation(Command, frozen=True, kw_only=True):
    actor: Actor
    reservation_id: UUID
    payment_reference: str | None = None


class CancelReservation(Command, frozen=True, kw_only=True):
    actor: Actor
    reservation_id: UUID


class ExpireReservation(Command, frozen=True, kw_only=True):
    """The system takes back tickets that were not paid in time."""

    reservation_id: UUID


class WithdrawReservation(Command, frozen=True, kw_only=True):
    """The system ends a reservation of a cancelled event."""

    reservation_id: UUID


EventCommand = CreateEvent | ChangeEvent | CancelEvent
ReservationCommand = ReserveTickets | PayReservation | CancelReservation | ExpireReservation | WithdrawReservation
AnyCommand = EventCommand | ReservationCommand
