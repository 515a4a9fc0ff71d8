"""One buyer's claim on tickets: its domain events, and what they add up to."""

from datetime import datetime
from typing import Any, ClassVar, Literal, NamedTuple
from uuid import UUID

from eventsourcing.domain import CanInitAggregate
from eventsourcing.utils import register_topic

from domain.domain_event import Aggregate, DomainEvent

Status = Literal["reserved", "paid", "expired", "cancelled"]
# Who ended it: the buyer, the organiser for this one reservation, or the end of its event.
CancelReason = Literal["buyer", "organiser", "event-cancelled"]


class ReservationPlaced(DomainEvent, CanInitAggregate[UUID], frozen=True, kw_only=True):
    """`amount_minor` is the price of all `quantity` tickets."""

    TOPIC: ClassVar[str] = "ReservationPlaced"
    originator_topic: str = "Reservation"

    event_id: UUID
    ticket_type_id: UUID
    buyer_id: UUID
    quantity: int
    amount_minor: int
    currency: str
    hold_expires_at: datetime


class ReservationExtended(DomainEvent, frozen=True, kw_only=True):
    """It may be paid until `hold_expires_at` from now on."""

    TOPIC: ClassVar[str] = "ReservationExtended"

    event_id: UUID
    hold_expires_at: datetime


class ReservationReduced(DomainEvent, frozen=True, kw_only=True):
    """Part of it was given back: `quantity` tickets are left, for `amount_minor` in all.

    `refund_due_minor` is what was paid for those given back; 0 when nothing was paid.
    """

    TOPIC: ClassVar[str] = "ReservationReduced"

    event_id: UUID
    quantity: int
    amount_minor: int
    refund_due_minor: int
    currency: str


class ReservationPaid(DomainEvent, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "ReservationPaid"

    event_id: UUID
    amount_minor: int
    currency: str
    payment_reference: str | None = None


class ReservationExpired(DomainEvent, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "ReservationExpired"

    event_id: UUID


class ReservationCancelled(DomainEvent, frozen=True, kw_only=True):
    """`refund_due_minor` is what was paid and has to be given back; 0 when nothing was paid."""

    TOPIC: ClassVar[str] = "ReservationCancelled"

    event_id: UUID
    reason: CancelReason
    refund_due_minor: int
    currency: str


class ReservationRecord(NamedTuple):
    """A purchase as told by its own domain events: placed, then paid, expired or cancelled."""

    placed: ReservationPlaced
    paid: ReservationPaid | None = None
    ended: ReservationExpired | ReservationCancelled | None = None
    extended: ReservationExtended | None = None
    reduced: ReservationReduced | None = None

    @property
    def quantity(self) -> int:
        """Its tickets, without those that were given back while it went on."""
        return self.reduced.quantity if self.reduced else self.placed.quantity

    @property
    def amount_minor(self) -> int:
        """The price of these tickets."""
        return self.reduced.amount_minor if self.reduced else self.placed.amount_minor

    @property
    def refund_due_minor(self) -> int:
        """What was paid for all tickets that were given back, at once or in parts."""
        if self.paid is None:
            return 0
        last_minor = self.ended.refund_due_minor if isinstance(self.ended, ReservationCancelled) else 0
        return self.paid.amount_minor - self.amount_minor + last_minor

    @property
    def hold_expires_at(self) -> datetime:
        """It can be paid before this instant."""
        return self.extended.hold_expires_at if self.extended else self.placed.hold_expires_at

    @property
    def status(self) -> Status:
        match self.ended:
            case ReservationExpired():
                return "expired"
            case ReservationCancelled():
                return "cancelled"
        return "paid" if self.paid else "reserved"


class Reservation(Aggregate):
    """The state of one purchase: its record, and what that was after each of its domain events."""

    TOPIC = "Reservation"

    def __init__(self) -> None:
        self.steps: list[tuple[DomainEvent, ReservationRecord]] = []

    @property
    def status(self) -> Status:
        return self.record.status

    def apply(self, domain_event: Any) -> None:
        match domain_event:
            case ReservationPlaced():
                self.record = ReservationRecord(domain_event)
            case ReservationPaid():
                self.record = self.record._replace(paid=domain_event)
            case ReservationExtended():
                self.record = self.record._replace(extended=domain_event)
            case ReservationReduced():
                self.record = self.record._replace(reduced=domain_event)
            case ReservationExpired() | ReservationCancelled():
                self.record = self.record._replace(ended=domain_event)
            case _:
                super().apply(domain_event)
        self.steps.append((domain_event, self.record))


register_topic(Reservation.TOPIC, Reservation)
