"""One door to every decision: a command and what it reads in, new domain events or a refusal out."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from domain import organising, paying, reserving, returning
from domain.commands import (
    AddTicketType,
    CancelEvent,
    CancelReservation,
    ChangeEvent,
    Command,
    CreateEvent,
    ExpireReservation,
    ExtendReservation,
    PayReservation,
    ReserveTickets,
    ReturnTickets,
    RevokeReservation,
    WithdrawReservation,
    WithholdTickets,
)
from domain.decision import Decision, Read
from domain.stock import adding, withholding

# The table of contents: every command there is. A new one is a class, a function and a line here.
DECISIONS: dict[type[Command], Callable[[Any, Read, datetime], Decision]] = {
    CreateEvent: organising.create,
    ChangeEvent: organising.change,
    CancelEvent: organising.cancel,
    AddTicketType: adding.add_ticket_type,
    WithholdTickets: withholding.withhold,
    ReturnTickets: withholding.return_tickets,
    ReserveTickets: reserving.reserve,
    ExtendReservation: paying.extend,
    PayReservation: paying.pay,
    CancelReservation: returning.cancel,
    RevokeReservation: returning.revoke,
    ExpireReservation: paying.expire,
    WithdrawReservation: returning.withdraw,
}


def decide(command: Command, read: Read, now: datetime) -> Decision:
    """Answer one command; mutates nothing, raises a `Refusal`. Time never runs backwards in a stream."""
    at = max([now, *[aggregate.modified_on for aggregate in read.aggregates if aggregate is not None]])
    return DECISIONS[type(command)](command, read, at)
