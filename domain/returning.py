"""The rules of giving tickets back: by the buyer, by the organiser, or with the event."""

from datetime import datetime

from domain.commands import CancelReservation, RevokeReservation, WithdrawReservation
from domain.decision import Decision, Draft, Read, unchanged
from domain.due_holds import expire_holds
from domain.errors import EventEnded, HoldExpired, NotTheOrganiser
from domain.event_facts import TicketsReleased
from domain.paying import check_buyer, purchase_of, replayed
from domain.reservation import CancelReason, Reservation, ReservationCancelled
from domain.ticketed_event import TicketedEvent


def cancel(command: CancelReservation, read: Read, at: datetime) -> Decision:
    """Give tickets back: a hold until it runs out, paid tickets until the event ends."""
    event, reservation = purchase_of(read)
    if again := replayed(command, reservation, ReservationCancelled):
        return again
    check_buyer(command, reservation)
    record = reservation.record
    if isinstance(record.ended, ReservationCancelled):
        return unchanged(record.ended, record)
    if record.paid is None and (record.ended or at >= record.hold_expires_at):
        raise HoldExpired(record.hold_expires_at)
    if record.paid and at >= event.ends_at:
        raise EventEnded
    return _give_back(Draft(command, at), event, reservation, "buyer")


def revoke(command: RevokeReservation, read: Read, at: datetime) -> Decision:
    """Give the tickets of one buyer back for the organiser: a hold until it runs out, paid ones at any time."""
    event, reservation = purchase_of(read)
    if again := replayed(command, reservation, ReservationCancelled):
        return again
    if not event.is_organised_by(command.actor):
        raise NotTheOrganiser
    record = reservation.record
    if isinstance(record.ended, ReservationCancelled):
        return unchanged(record.ended, record)
    if record.paid is None and (record.ended or at >= record.hold_expires_at):
        raise HoldExpired(record.hold_expires_at)
    return _give_back(Draft(command, at), event, reservation, "organiser")


def withdraw(command: WithdrawReservation, read: Read, at: datetime) -> Decision:
    """End a reservation of a cancelled event: expired if its hold ran out first, else cancelled, with a refund due."""
    event, reservation = purchase_of(read)
    draft, record = Draft(command, at), reservation.record
    if record.status == "reserved" and at >= record.hold_expires_at:
        expired = expire_holds(draft, event, [reservation.id])
        return draft.decision(record._replace(ended=expired), reservation.id, reservation.version)
    if not event.cancelled or record.ended:
        return draft.decision(record, reservation.id, reservation.version)
    return _give_back(draft, event, reservation, "event-cancelled")


def _give_back(draft: Draft, event: TicketedEvent, reservation: Reservation, reason: CancelReason) -> Decision:
    record = reservation.record
    placed, paid = record.placed, record.paid
    refund_due_minor = paid.amount_minor if paid else 0
    draft.add(
        TicketsReleased,
        event.id,
        event.version,
        reservation_id=reservation.id,
        buyer_id=placed.buyer_id,
        ticket_type_id=placed.ticket_type_id,
        quantity=placed.quantity,
        was="sold" if paid else "held",
        reason=reason,
        refund_due_minor=refund_due_minor,
        currency=placed.currency,
    )
    cancelled = draft.add(
        ReservationCancelled,
        reservation.id,
        reservation.version,
        event_id=event.id,
        reason=reason,
        refund_due_minor=refund_due_minor,
        currency=placed.currency,
        idempotency=draft.command.idempotency,
    )
    return draft.decision(record._replace(ended=cancelled), reservation.id, reservation.version)
