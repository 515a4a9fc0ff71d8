"""The rules of withholding: take tickets out of sale, and put them back."""

from datetime import datetime
from typing import Any
from uuid import UUID

from domain.commands import ReturnTickets, WithholdTickets
from domain.decision import Decision, Draft, Read
from domain.due_holds import check_due_holds, due_holds_for, expire_holds
from domain.errors import TooFewToWithhold, TooFewWithheld
from domain.event_facts import TicketsReturned, TicketsWithheld
from domain.inventory import StockRecord
from domain.organising import changed_event, check_can_change, check_organiser, found_event, recorded_before
from domain.reserving import stock_asked_for
from domain.ticketed_event import TicketedEvent


def withhold(command: WithholdTickets, read: Read, at: datetime) -> Decision:
    """Take tickets of one type out of sale. What is due is taken back first, as far as they are too few without it.

    Raises `TooManyDueHolds` when that is more than one command may take back.
    """
    event = found_event(read)
    check_organiser(command.actor, event)
    if again := recorded_before(command, event):
        return again
    check_can_change(command, event, at)
    stock = stock_asked_for(event, command.ticket_type_id)
    freed, due = due_holds_for(event, stock, stock.capacity - stock.withheld - command.quantity, at)
    if stock.available + freed < command.quantity:
        # Where too many are sold, no hold that ends is of any help.
        is_enough_held = stock.available + stock.held >= command.quantity
        ends_at = stock.next_hold_ends_at(at) if is_enough_held else None
        raise TooFewToWithhold(stock.offer.ticket_type_id, stock.available + freed, ends_at)
    check_due_holds(due)

    draft = Draft(command, at)
    expire_holds(draft, event, due)
    _add(draft, event, TicketsWithheld, command, stock.offer.ticket_type_id)
    return changed_event(
        draft,
        event,
        stock=_with(
            event,
            stock.offer.ticket_type_id,
            held=stock.held - freed,
            withheld=stock.withheld + command.quantity,
        ),
    )


def return_tickets(command: ReturnTickets, read: Read, at: datetime) -> Decision:
    """Put tickets of one type that were withheld back on sale."""
    event = found_event(read)
    check_organiser(command.actor, event)
    if again := recorded_before(command, event):
        return again
    check_can_change(command, event, at)
    stock = stock_asked_for(event, command.ticket_type_id)
    if stock.withheld < command.quantity:
        raise TooFewWithheld(stock.offer.ticket_type_id, stock.withheld)
    draft = Draft(command, at)
    _add(draft, event, TicketsReturned, command, stock.offer.ticket_type_id)
    left = _with(event, stock.offer.ticket_type_id, withheld=stock.withheld - command.quantity)
    return changed_event(draft, event, stock=left)


def _add(
    draft: Draft,
    event: TicketedEvent,
    moved: type[TicketsWithheld | TicketsReturned],
    command: WithholdTickets | ReturnTickets,
    ticket_type_id: UUID,
) -> None:
    draft.add(
        moved,
        event.id,
        event.version,
        ticket_type_id=ticket_type_id,
        quantity=command.quantity,
        idempotency=command.idempotency,
    )


def _with(event: TicketedEvent, ticket_type_id: UUID, **counts: Any) -> tuple[StockRecord, ...]:
    """The stock of the event with other counts of one type."""
    return tuple(
        record._replace(**counts) if record.offer.ticket_type_id == ticket_type_id else record
        for record in event.record.stock
    )
