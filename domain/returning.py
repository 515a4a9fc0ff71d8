"""The rules of giving tickets back: by the buyer, by the organiser, or with the event."""

from datetime import datetime
from typing import Any

from domain.commands import CancelReservation, RevokeReservation, WithdrawReservation
from domain.decision import Decision, Draft, Read, unchanged
from domain.due_holds import expire_holds
from domain.errors import EventEnded, HoldExpired, MoreThanReserved, NotTheOrganiser, TooManyParts
from domain.event_facts import TicketsReduced, TicketsReleased
from domain.paying import check_buyer, purchase_of, replayed
from domain.reservation import CancelReason, Reservation, ReservationCancelled, ReservationReduced
from domain.ticketed_event import TicketedEvent

# A reservation's stream is read whole for each command about it, and a group has a bound on what it reads: with so many
# parts it stays below that, whatever the group's commands are about.
MOST_PARTS = 15


def cancel(command: CancelReservation, read: Read, at: datetime) -> Decision:
    """Give tickets back, or some of them: a hold until it runs out, paid tickets until the event ends."""
    event, reservation = purchase_of(read)
    if again := replayed(command, reservation, ReservationCancelled, ReservationReduced):
        return again
    check_buyer(command, reservation)
    record = reservation.record
    if isinstance(record.ended, ReservationCancelled):
        return unchanged(record.ended, record)
    if record.paid is None and (record.ended or at >= record.hold_expires_at):
        raise HoldExpired(record.hold_expires_at)
    if record.paid and at >= event.ends_at:
        raise EventEnded
    quantity = record.quantity if command.quantity is None else command.quantity
    if quantity > record.quantity:
        raise MoreThanReserved(record.quantity)
    if quantity == record.quantity:
        return _give_back(Draft(command, at), event, reservation, "buyer")
    if sum(isinstance(step, ReservationReduced) for step, _ in reservation.steps) >= MOST_PARTS:
        raise TooManyParts(MOST_PARTS)
    return _give_back_part(Draft(command, at), event, reservation, quantity)


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
    refund_due_minor = record.amount_minor if paid else 0
    draft.add(
        TicketsReleased,
        event.id,
        event.version,
        reservation_id=reservation.id,
        buyer_id=placed.buyer_id,
        ticket_type_id=placed.ticket_type_id,
        quantity=record.quantity,
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


def _give_back_part(draft: Draft, event: TicketedEvent, reservation: Reservation, quantity: int) -> Decision:
    """Some of its tickets; what stays costs its share, rounded down to a minor unit, and the rest is the refund due."""
    record = reservation.record
    placed, quantity_left = record.placed, record.quantity - quantity
    amount_left_minor = record.amount_minor * quantity_left // record.quantity
    refund: dict[str, Any] = {
        "refund_due_minor": record.amount_minor - amount_left_minor if record.paid else 0,
        "currency": placed.currency,
    }
    draft.add(
        TicketsReduced,
        event.id,
        event.version,
        reservation_id=reservation.id,
        buyer_id=placed.buyer_id,
        ticket_type_id=placed.ticket_type_id,
        quantity=quantity,
        quantity_left=quantity_left,
        was="sold" if record.paid else "held",
        **refund,
    )
    reduced = draft.add(
        ReservationReduced,
        reservation.id,
        reservation.version,
        event_id=event.id,
        quantity=quantity_left,
        amount_minor=amount_left_minor,
        **refund,
        idempotency=draft.command.idempotency,
    )
    return draft.decision(record._replace(reduced=reduced), reservation.id, reservation.version)
