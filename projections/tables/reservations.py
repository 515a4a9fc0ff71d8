"""The table `reservations`: one row per reservation, every instant of its life."""

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.domain_event import DomainEvent
from domain.reservation import (
    CancelReason,
    ReservationCancelled,
    ReservationExpired,
    ReservationExtended,
    ReservationPaid,
    ReservationPlaced,
    ReservationReduced,
    Status,
)
from projections.tables.table import RowMissing, Table, one_per_stream


class ReservationRow(msgspec.Struct, frozen=True, gc=False):
    """A reservation; the table's comments say what each column means."""

    reservation_id: UUID
    event_id: UUID
    ticket_type_id: UUID
    buyer_id: UUID
    quantity: int
    amount_minor: int
    currency: str
    status: Status
    placed_at: datetime
    hold_expires_at: datetime
    extended_at: datetime | None
    paid_at: datetime | None
    payment_reference: str | None
    expired_at: datetime | None
    cancelled_at: datetime | None
    cancel_reason: CancelReason | None
    refund_due_minor: int
    position: int


def fold(row: ReservationRow | None, reservation_id: UUID, position: int, domain_event: DomainEvent) -> ReservationRow:
    """The reservation's row after the domain event at `position`."""
    if isinstance(domain_event, ReservationPlaced):
        return _placed(domain_event, position)
    if row is None:
        raise RowMissing(f"reservation {reservation_id}")
    at = domain_event.timestamp
    match domain_event:
        case ReservationPaid(payment_reference=reference):
            return replace(row, status="paid", paid_at=at, payment_reference=reference, position=position)
        case ReservationExtended(hold_expires_at=hold_expires_at):
            return replace(row, hold_expires_at=hold_expires_at, extended_at=at, position=position)
        case ReservationReduced(quantity=quantity, amount_minor=amount_minor, refund_due_minor=refund_due_minor):
            refund_due_minor += row.refund_due_minor
            left = {"quantity": quantity, "amount_minor": amount_minor, "refund_due_minor": refund_due_minor}
            return replace(row, position=position, **left)
        case ReservationExpired():
            return replace(row, status="expired", expired_at=at, position=position)
        case ReservationCancelled(reason=reason, refund_due_minor=refund_due_minor):
            return replace(
                row,
                status="cancelled",
                cancelled_at=at,
                cancel_reason=reason,
                refund_due_minor=row.refund_due_minor + refund_due_minor,
                position=position,
            )
    raise AssertionError(f"reservations do not fold {domain_event!r}")


def _placed(placed: ReservationPlaced, position: int) -> ReservationRow:
    return ReservationRow(
        reservation_id=placed.originator_id,
        event_id=placed.event_id,
        ticket_type_id=placed.ticket_type_id,
        buyer_id=placed.buyer_id,
        quantity=placed.quantity,
        amount_minor=placed.amount_minor,
        currency=placed.currency,
        status="reserved",
        placed_at=placed.timestamp,
        hold_expires_at=placed.hold_expires_at,
        extended_at=None,
        paid_at=None,
        payment_reference=None,
        expired_at=None,
        cancelled_at=None,
        cancel_reason=None,
        refund_due_minor=0,
        position=position,
    )


TABLE = Table(
    name="reservations",
    key="reservation_id",
    row=ReservationRow,
    changed_keys=dict.fromkeys(
        (
            ReservationPlaced,
            ReservationExtended,
            ReservationReduced,
            ReservationPaid,
            ReservationExpired,
            ReservationCancelled,
        ),
        one_per_stream,
    ),
    births=frozenset({ReservationPlaced}),
    fold=fold,
    stream="reservation_id",
)
