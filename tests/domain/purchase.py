"""Purchases at the concert: the commands of a buyer's tickets, and the facts that each step leaves in both streams."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from msgspec.structs import replace

from domain.commands import (
    Actor,
    CancelReservation,
    ExpireReservation,
    ExtendReservation,
    PayReservation,
    ReserveTickets,
    RevokeReservation,
    WithdrawReservation,
)
from domain.domain_event import SYSTEM, Idempotency
from domain.event_facts import HoldExtended, TicketsHeld, TicketsReduced, TicketsReleased, TicketsSold
from domain.inventory import TicketType
from domain.reservation import (
    ReservationCancelled,
    ReservationExpired,
    ReservationExtended,
    ReservationPaid,
    ReservationPlaced,
    ReservationReduced,
)
from tests.domain.builders import (
    ADMIN,
    ANN,
    BOB,
    CLEO,
    CONCERT,
    HOLD_OVER,
    HOLD_SECONDS,
    NOON,
    ORGANISER,
    REQUEST,
    STANDING,
    about,
)


class Purchase(NamedTuple):
    """One purchase: its commands (in the imperative), and the two facts that each step leaves (in the past tense)."""

    reservation_id: UUID
    buyer: UUID
    quantity: int = 1
    ticket_type: TicketType = STANDING
    held_at: datetime = NOON
    hold_seconds: int = HOLD_SECONDS

    @property
    def amount_minor(self) -> int:
        return self.quantity * self.ticket_type.amount_minor

    @property
    def hold_expires_at(self) -> datetime:
        return self.held_at + timedelta(seconds=self.hold_seconds)

    def reserve(self, **changes: Any) -> ReserveTickets:
        asked = ReserveTickets(
            event_id=CONCERT,
            request_id=REQUEST,
            actor=Actor(self.buyer),
            reservation_id=self.reservation_id,
            quantity=self.quantity,
            ticket_type_id=self.ticket_type.ticket_type_id,
        )
        return replace(asked, **changes)

    def pay(self, reference: str | None = None, *, by: UUID | None = None, **changes: Any) -> PayReservation:
        asked = PayReservation(
            event_id=CONCERT,
            request_id=REQUEST,
            actor=Actor(by or self.buyer),
            reservation_id=self.reservation_id,
            payment_reference=reference,
        )
        return replace(asked, **changes)

    def extend(self, *, by: UUID | None = None, **changes: Any) -> ExtendReservation:
        asked = ExtendReservation(
            event_id=CONCERT, request_id=REQUEST, actor=Actor(by or self.buyer), reservation_id=self.reservation_id
        )
        return replace(asked, **changes)

    def cancel(self, *, by: UUID | None = None, **changes: Any) -> CancelReservation:
        asked = CancelReservation(
            event_id=CONCERT,
            request_id=REQUEST,
            actor=Actor(by or self.buyer, by == ADMIN),
            reservation_id=self.reservation_id,
        )
        return replace(asked, **changes)

    def revoke(self, *, by: UUID = ORGANISER, **changes: Any) -> RevokeReservation:
        asked = RevokeReservation(
            event_id=CONCERT,
            request_id=REQUEST,
            actor=Actor(by, by == ADMIN),
            reservation_id=self.reservation_id,
        )
        return replace(asked, **changes)

    def expire(self, **changes: Any) -> ExpireReservation:
        asked = ExpireReservation(event_id=CONCERT, request_id=REQUEST, reservation_id=self.reservation_id)
        return replace(asked, **changes)

    def withdraw(self, **changes: Any) -> WithdrawReservation:
        asked = WithdrawReservation(event_id=CONCERT, request_id=REQUEST, reservation_id=self.reservation_id)
        return replace(asked, **changes)

    def reserved(self, *, idempotency: Idempotency | None = None) -> tuple[TicketsHeld, ReservationPlaced]:
        hold_expires_at, ticket_type_id = self.hold_expires_at, self.ticket_type.ticket_type_id
        return (
            TicketsHeld(
                **about(self.held_at, self.buyer),
                reservation_id=self.reservation_id,
                buyer_id=self.buyer,
                ticket_type_id=ticket_type_id,
                quantity=self.quantity,
                hold_expires_at=hold_expires_at,
            ),
            ReservationPlaced(
                **about(self.held_at, self.buyer, self.reservation_id),
                event_id=CONCERT,
                ticket_type_id=ticket_type_id,
                buyer_id=self.buyer,
                quantity=self.quantity,
                amount_minor=self.amount_minor,
                currency=self.ticket_type.currency,
                hold_expires_at=hold_expires_at,
                idempotency=idempotency,
            ),
        )

    def paid(
        self, at: datetime = NOON, reference: str | None = None, *, idempotency: Idempotency | None = None
    ) -> tuple[TicketsSold, ReservationPaid]:
        money: dict[str, Any] = {"amount_minor": self.amount_minor, "currency": self.ticket_type.currency}
        return (
            TicketsSold(**about(at, self.buyer), **self._tickets(), **money),
            ReservationPaid(
                **about(at, self.buyer, self.reservation_id),
                **money,
                event_id=CONCERT,
                payment_reference=reference,
                idempotency=idempotency,
            ),
        )

    def extended(
        self, until: datetime, at: datetime = NOON, *, idempotency: Idempotency | None = None
    ) -> tuple[HoldExtended, ReservationExtended]:
        return (
            HoldExtended(**about(at, self.buyer), **self._tickets(), hold_expires_at=until),
            ReservationExtended(
                **about(at, self.buyer, self.reservation_id),
                event_id=CONCERT,
                hold_expires_at=until,
                idempotency=idempotency,
            ),
        )

    def reduced(
        self, by: int, at: datetime = NOON, *, refund_due_minor: int = 0, was_paid: bool = False, **more: Any
    ) -> tuple[TicketsReduced, ReservationReduced]:
        """So many tickets were given back; what comes after is of the purchase with `less`."""
        left, refund = self.less(by), self._refund(refund_due_minor)
        was: Any = "sold" if was_paid or refund_due_minor else "held"
        tickets = self._tickets() | {"quantity": by}
        return (
            TicketsReduced(**about(at, self.buyer), **tickets, **refund, quantity_left=left.quantity, was=was),
            ReservationReduced(
                **about(at, self.buyer, self.reservation_id),
                event_id=CONCERT,
                quantity=left.quantity,
                amount_minor=left.amount_minor,
                **refund,
                **more,
            ),
        )

    def less(self, by: int) -> "Purchase":
        """The purchase without so many tickets."""
        return self._replace(quantity=self.quantity - by)

    def expired(self, at: datetime = HOLD_OVER) -> tuple[TicketsReleased, ReservationExpired]:
        return (
            TicketsReleased(**about(at, SYSTEM), **self._tickets(), **self._refund(0), was="held", reason="expired"),
            ReservationExpired(**about(at, SYSTEM, self.reservation_id), event_id=CONCERT),
        )

    def cancelled(
        self,
        at: datetime = NOON,
        *,
        refund_due_minor: int = 0,
        was_paid: bool = False,
        idempotency: Idempotency | None = None,
    ) -> tuple[TicketsReleased, ReservationCancelled]:
        """The buyer gave the tickets back."""
        was_paid = was_paid or refund_due_minor > 0
        return self._returned(at, self.buyer, "buyer", was_paid, refund_due_minor, idempotency)

    def revoked(
        self,
        at: datetime = NOON,
        *,
        by: UUID = ORGANISER,
        refund_due_minor: int = 0,
        idempotency: Idempotency | None = None,
    ) -> tuple[TicketsReleased, ReservationCancelled]:
        """The organiser gave the tickets back."""
        return self._returned(at, by, "organiser", refund_due_minor > 0, refund_due_minor, idempotency)

    def withdrawn(
        self, at: datetime = NOON, *, refund_due_minor: int = 0, was_paid: bool = False
    ) -> tuple[TicketsReleased, ReservationCancelled]:
        """The reservation ended with its event."""
        was_paid = was_paid or refund_due_minor > 0
        return self._returned(at, SYSTEM, "event-cancelled", was_paid, refund_due_minor, None)

    def _returned(
        self,
        at: datetime,
        actor: UUID | str,
        reason: Any,
        was_paid: bool,
        refund: int,
        idempotency: Idempotency | None,
    ) -> tuple[TicketsReleased, ReservationCancelled]:
        was: Any = "sold" if was_paid else "held"
        return (
            TicketsReleased(**about(at, actor), **self._tickets(), **self._refund(refund), was=was, reason=reason),
            ReservationCancelled(
                **about(at, actor, self.reservation_id),
                event_id=CONCERT,
                reason=reason,
                **self._refund(refund),
                idempotency=idempotency,
            ),
        )

    def _refund(self, refund_due_minor: int) -> dict[str, Any]:
        return {"refund_due_minor": refund_due_minor, "currency": self.ticket_type.currency}

    def _tickets(self) -> dict[str, Any]:
        return {
            "reservation_id": self.reservation_id,
            "buyer_id": self.buyer,
            "ticket_type_id": self.ticket_type.ticket_type_id,
            "quantity": self.quantity,
        }


ANNS = Purchase(UUID(int=0x101), ANN)
BOBS = Purchase(UUID(int=0x102), BOB)
CLEOS = Purchase(UUID(int=0x103), CLEO)
