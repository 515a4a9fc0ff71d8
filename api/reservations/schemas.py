"""What buyers send and get: a reservation to make, how it is paid, and how it stands."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from api.docs.example_values import SOME_RESERVATION
from api.http.cursors import Page
from api.http.idempotency_keys import id_to_create
from api.http.inputs import Body, Id, Instant, Text
from api.http.ready_json import encode, renderer
from domain.commands import Actor, ReserveTickets
from domain.domain_event import Idempotency
from domain.reservation import CancelReason, ReservationCancelled, ReservationExpired, ReservationRecord, Status

MOST_TICKETS_AT_ONCE = 10_000


class NewReservation(Body):
    """Tickets to hold, all or nothing."""

    event_id: Id
    quantity: Annotated[int, Field(ge=1, le=MOST_TICKETS_AT_ONCE)] = 1
    ticket_type_id: Annotated[Id | None, Field(description="Needed only when the event has several.")] = None

    def command(self, actor: Actor, request_id: UUID, idempotency: Idempotency | None) -> ReserveTickets:
        """The command to hold these tickets, with the reservation's id."""
        return ReserveTickets(
            event_id=self.event_id,
            request_id=request_id,
            actor=actor,
            idempotency=idempotency,
            reservation_id=id_to_create(idempotency),
            quantity=self.quantity,
            ticket_type_id=self.ticket_type_id,
        )


class Payment(Body):
    """Paying again with the same reference is the same answer; to leave it out twice is the same, too."""

    payment_reference: Annotated[
        Annotated[str, Text(1, 200)] | None,
        Field(description="What the payment is called elsewhere. Kept in the history for ever: no personal data."),
    ] = None


class Extension(Body):
    """Extending a hold needs no fields and takes none; the body may be left out."""


class ReservationCancellation(Body):
    """All tickets are given back unless a quantity is named; the body may be left out."""

    quantity: Annotated[
        Annotated[int, Field(ge=1, le=MOST_TICKETS_AT_ONCE)] | None,
        Field(description="How many of its tickets to give back. Null or left out: all that it has."),
    ] = None


AS_PAID = {"status": "paid", "paid_at": "2030-05-01T19:29:00Z", "payment_reference": "invoice 17"}
AS_CANCELLED = {"status": "cancelled", "cancelled_at": "2030-05-01T19:29:30Z", "cancel_reason": "buyer"}


class ReservationAnswer(BaseModel):
    """A reservation as it stands. A hold that is due reads `reserved` until its expiry is recorded."""

    id: Annotated[UUID, Field(examples=[SOME_RESERVATION])]
    event_id: UUID
    ticket_type_id: UUID
    quantity: Annotated[int, Field(description="Without the tickets that were given back as a part of it.")]
    status: Status
    amount_minor: Annotated[int, Field(description="The price of all its tickets, in the currency's minor unit.")]
    currency: str
    hold_expires_at: Annotated[Instant, Field(description="Payable before this instant, not at it.")]
    placed_at: Instant
    extended_at: Annotated[Instant | None, Field(description="When it got more time to pay; null unless it did.")]
    paid_at: Annotated[Instant | None, Field(description="Stays when a paid reservation is cancelled.")]
    payment_reference: Annotated[str | None, Field(examples=[None])]
    expired_at: Instant | None
    cancelled_at: Instant | None
    cancel_reason: CancelReason | None
    refund_due_minor: Annotated[int, Field(description="What was paid for tickets given back, all or a part; else 0.")]


# From a row of the projections.
render = renderer(ReservationAnswer, id="reservation_id")


def json_of(record: ReservationRecord) -> bytes:
    """A `ReservationAnswer` as its own domain events tell it, as ready JSON."""
    placed, paid, ended, extended, _ = record
    cancelled = ended if isinstance(ended, ReservationCancelled) else None
    answer = {
        "id": placed.originator_id,
        "event_id": placed.event_id,
        "ticket_type_id": placed.ticket_type_id,
        "quantity": record.quantity,
        "status": record.status,
        "amount_minor": record.amount_minor,
        "currency": placed.currency,
        "hold_expires_at": record.hold_expires_at,
        "placed_at": placed.timestamp,
        "extended_at": extended.timestamp if extended else None,
        "paid_at": paid.timestamp if paid else None,
        "payment_reference": paid.payment_reference if paid else None,
        "expired_at": ended.timestamp if isinstance(ended, ReservationExpired) else None,
        "cancelled_at": cancelled.timestamp if cancelled else None,
        "cancel_reason": cancelled.reason if cancelled else None,
        "refund_due_minor": record.refund_due_minor,
    }
    return encode(answer)


class ReservationPage(Page[ReservationAnswer]):
    """A page of a buyer's reservations, newest first."""
