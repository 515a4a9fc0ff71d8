"""One door to every decision: state and command in, new domain events or a refusal out."""

from datetime import datetime
from uuid import UUID

from domain import organising, reserving
from domain.commands import (
    AnyCommand,
    CancelEvent,
    CancelReservation,
    ChangeEvent,
    CreateEvent,
    ExpireReservation,
    PayReservation,
    ReserveTickets,
    WithdrawReservation,
)
from domain.decision import Decision
from domain.errors import EventNotFound, ReservationNotFound
from domain.reservation import Reservation
from domain.ticketed_event import TicketedEvent


def decide(
    command: AnyCommand,
    event: TicketedEvent | None,
    reservation: Reservation | None,
    now: datetime,
    name_holder_id: UUID | None = None,
) -> Decision:
    """Answer one command; mutates nothing, raises a `Refusal`.

    `event` and `reservation` are the command's, None where there is none yet. `name_holder_id` is the event that
    has the name which `organising.new_name` gives for this command. Time never runs backwards in a stream.
    """
    at = max(now, event.modified_on) if event else now
    match command:
        case ReserveTickets():
            return reserving.reserve(command, event, reservation, at)
        case CreateEvent():
            return organising.create(command, event, name_holder_id, at)
        case ChangeEvent():
            return organising.change(command, found(event), name_holder_id, at)
        case CancelEvent():
            return organising.cancel(command, found(event), at)
    if event is None or reservation is None or reservation.record.placed.event_id != event.id:
        raise ReservationNotFound
    match command:
        case PayReservation():
            return reserving.pay(command, event, reservation, at)
        case CancelReservation():
            return reserving.cancel(command, event, reservation, at)
        case ExpireReservation():
            return reserving.expire(command, event, reservation, at)
        case WithdrawReservation():
            return reserving.withdraw(command, event, reservation, at)


def found(event: TicketedEvent | None) -> TicketedEvent:
    """The event, or the refusal that there is none."""
    if event is None:
        raise EventNotFound
    return event
