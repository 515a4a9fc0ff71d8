"""The rules of a hold: it is paid or extended before it runs out, and runs out once."""

from datetime import datetime, timedelta

from domain.commands import (
    CancelReservation,
    ExpireReservation,
    ExtendReservation,
    PayReservation,
    ReservationCommand,
)
from domain.decision import Decision, Draft, Read, replay
from domain.domain_event import DomainEvent
from domain.due_holds import expire_holds
from domain.errors import (
    EventEnded,
    EventIsCancelled,
    ExtensionNotOffered,
    HoldExpired,
    NotExtendable,
    NotPayable,
    ReservationNotFound,
)
from domain.event_facts import HoldExtended, TicketsSold
from domain.reservation import Reservation, ReservationExtended, ReservationPaid
from domain.ticketed_event import TicketedEvent

BuyersCommand = PayReservation | ExtendReservation | CancelReservation


def pay(command: PayReservation, read: Read, at: datetime) -> Decision:
    """Turn a hold into sold tickets, before it runs out."""
    event, reservation = purchase_of(read)
    if again := replayed(command, reservation, ReservationPaid):
        return again
    check_buyer(command, reservation)
    record = reservation.record
    placed, paid = record.placed, record.paid
    draft = Draft(command, at)
    if paid and record.ended is None and paid.payment_reference == command.payment_reference:
        return draft.decision(record, reservation.id, reservation.version)
    if record.status in ("paid", "cancelled"):
        raise NotPayable(record.status)
    if at >= record.hold_expires_at:
        raise HoldExpired(record.hold_expires_at)
    if event.cancelled:
        raise EventIsCancelled
    draft.add(
        TicketsSold,
        event.id,
        event.version,
        reservation_id=reservation.id,
        buyer_id=placed.buyer_id,
        ticket_type_id=placed.ticket_type_id,
        quantity=record.quantity,
        amount_minor=record.amount_minor,
        currency=placed.currency,
    )
    paid = draft.add(
        ReservationPaid,
        reservation.id,
        reservation.version,
        event_id=event.id,
        amount_minor=record.amount_minor,
        currency=placed.currency,
        payment_reference=command.payment_reference,
        idempotency=command.idempotency,
    )
    return draft.decision(record._replace(paid=paid), reservation.id, reservation.version)


def extend(command: ExtendReservation, read: Read, at: datetime) -> Decision:
    """Give a buyer more time to pay, once for each hold, counted from the end that it has."""
    event, reservation = purchase_of(read)
    if again := replayed(command, reservation, ReservationExtended):
        return again
    check_buyer(command, reservation)
    record = reservation.record
    if record.status in ("paid", "cancelled"):
        raise NotExtendable(record.status)
    if at >= record.hold_expires_at:
        raise HoldExpired(record.hold_expires_at)
    if event.cancelled:
        raise EventIsCancelled
    draft = Draft(command, at)
    if record.extended:
        return draft.decision(record, reservation.id, reservation.version)
    if at >= event.ends_at:
        raise EventEnded
    seconds = event.limits.hold_extension_seconds
    if not seconds:
        raise ExtensionNotOffered(record.hold_expires_at)
    hold_expires_at = record.hold_expires_at + timedelta(seconds=seconds)
    draft.add(
        HoldExtended,
        event.id,
        event.version,
        reservation_id=reservation.id,
        buyer_id=record.placed.buyer_id,
        ticket_type_id=record.placed.ticket_type_id,
        quantity=record.quantity,
        hold_expires_at=hold_expires_at,
    )
    extended = draft.add(
        ReservationExtended,
        reservation.id,
        reservation.version,
        event_id=event.id,
        hold_expires_at=hold_expires_at,
        idempotency=command.idempotency,
    )
    return draft.decision(record._replace(extended=extended), reservation.id, reservation.version)


def expire(command: ExpireReservation, read: Read, at: datetime) -> Decision:
    """Take back a hold whose time is over; changes nothing before that, or once the reservation was paid or ended."""
    event, reservation = purchase_of(read)
    draft = Draft(command, at)
    if reservation.status != "reserved" or at < reservation.record.hold_expires_at:
        return draft.decision(reservation.record, reservation.id, reservation.version)
    expired = expire_holds(draft, event, [reservation.id])
    return draft.decision(reservation.record._replace(ended=expired), reservation.id, reservation.version)


def purchase_of(read: Read) -> tuple[TicketedEvent, Reservation]:
    """The event and the reservation that a command is about. Raises `ReservationNotFound`."""
    event = read.find(TicketedEvent)
    reservation = read.find(Reservation, 1)
    if event is None or reservation is None or reservation.record.placed.event_id != event.id:
        raise ReservationNotFound
    return event, reservation


def replayed(command: ReservationCommand, reservation: Reservation, *steps: type[DomainEvent]) -> Decision | None:
    """What the command was answered before, if it or an earlier one with its key has recorded such a step."""
    for recorded, record in reservation.steps:
        if isinstance(recorded, steps) and (again := replay(command, recorded, record)):
            return again
    return None


def check_buyer(command: BuyersCommand, reservation: Reservation) -> None:
    """Raises `ReservationNotFound` for whoever is not its buyer."""
    if reservation.record.placed.buyer_id != command.actor.account_id:
        raise ReservationNotFound
