"""The rules of reserving: hold tickets for a buyer, within the limit and as far as there are any."""

from datetime import datetime, timedelta
from uuid import UUID

from domain.commands import ReserveTickets
from domain.decision import Decision, Draft, Read, replay
from domain.due_holds import check_due_holds, expire_holds
from domain.errors import (
    EventEnded,
    EventIsCancelled,
    EventNotFound,
    LimitPerBuyer,
    SalesClosed,
    SalesNotOpen,
    SoldOut,
    TicketTypeNotFound,
    TicketTypeRequired,
)
from domain.event_facts import TicketsHeld
from domain.inventory import Stock
from domain.on_sale import sales_phase
from domain.reservation import Reservation, ReservationPlaced, ReservationRecord
from domain.ticketed_event import TicketedEvent


def reserve(command: ReserveTickets, read: Read, at: datetime) -> Decision:
    """Hold tickets for a buyer. What is due is taken back first, as far as this buyer needs it.

    Raises `TooManyDueHolds` when that is more than one command may take back.
    """
    event = read.find(TicketedEvent)
    reservation = read.find(Reservation, 1)
    if reservation is not None:
        placed = reservation.record.placed
        if again := replay(command, placed, ReservationRecord(placed)):
            return again
    if event is None:
        raise EventNotFound
    stock = stock_asked_for(event, command.ticket_type_id)
    _check_on_sale(event, at)
    due = _within_limit(event, command, at)
    due |= _in_stock(event, stock, command.quantity, at, due)
    check_due_holds(due)

    draft = Draft(command, at)
    expire_holds(draft, event, due)
    hold_expires_at = at + timedelta(seconds=event.limits.hold_seconds)
    buyer_id, ticket_type_id = command.actor.account_id, stock.offer.ticket_type_id
    draft.add(
        TicketsHeld,
        event.id,
        event.version,
        reservation_id=command.reservation_id,
        buyer_id=buyer_id,
        ticket_type_id=ticket_type_id,
        quantity=command.quantity,
        hold_expires_at=hold_expires_at,
    )
    placed = draft.add(
        ReservationPlaced,
        command.reservation_id,
        0,
        event_id=event.id,
        ticket_type_id=ticket_type_id,
        buyer_id=buyer_id,
        quantity=command.quantity,
        amount_minor=stock.offer.price_minor(command.quantity),
        currency=stock.offer.currency,
        hold_expires_at=hold_expires_at,
        idempotency=command.idempotency,
    )
    return draft.decision(ReservationRecord(placed), command.reservation_id, 0)


def stock_asked_for(event: TicketedEvent, ticket_type_id: UUID | None) -> Stock:
    """The stock of one ticket type, of the event's only one where none is named.

    Raises `TicketTypeRequired`, `TicketTypeNotFound`.
    """
    if ticket_type_id is None:
        if len(event.stock) > 1:
            raise TicketTypeRequired
        return next(iter(event.stock.values()))
    if ticket_type_id not in event.stock:
        raise TicketTypeNotFound
    return event.stock[ticket_type_id]


def _check_on_sale(event: TicketedEvent, at: datetime) -> None:
    match sales_phase(at, event.cancelled is not None, event.ends_at, event.sales_window):
        case "cancelled":
            raise EventIsCancelled
        case "ended":
            raise EventEnded
        case "not-yet":
            raise SalesNotOpen(event.sales_window.sales_open_at or at)
        case "closed":
            raise SalesClosed


def _within_limit(event: TicketedEvent, command: ReserveTickets, at: datetime) -> dict[UUID, None]:
    """The buyer's due holds to take back so that the limit leaves room, in order; empty when there is room."""
    buyer_id, limit = command.actor.account_id, event.limits.max_per_buyer
    tickets = event.tickets_of(buyer_id)
    due: dict[UUID, None] = {}
    if tickets + command.quantity <= limit:
        return due
    for reservation_id in event.due_holds_of_buyer(buyer_id, at):
        due[reservation_id] = None
        tickets -= event.holds[reservation_id].quantity
        if tickets + command.quantity <= limit:
            return due
    buyer = event.buyers.get(buyer_id)
    counted = [i for i in buyer.hold_ids if i not in due] if buyer else []
    paid_reservation_id = buyer.paid_reservation_id if buyer else None
    raise LimitPerBuyer(limit, tickets, counted[-1] if counted else paid_reservation_id)


def _in_stock(
    event: TicketedEvent, stock: Stock, quantity: int, at: datetime, taken_back: dict[UUID, None]
) -> dict[UUID, None]:
    """The type's due holds to take back so that `quantity` tickets are left, in order; empty when they are."""
    due: dict[UUID, None] = {}
    if stock.available >= quantity:
        return due
    ticket_type_id = stock.offer.ticket_type_id
    available = stock.available + sum(
        hold.quantity for i in taken_back if (hold := event.holds[i]).ticket_type_id == ticket_type_id
    )
    if available >= quantity:
        return due
    for reservation_id in stock.due_holds(at):
        if reservation_id in taken_back:
            continue
        due[reservation_id] = None
        available += event.holds[reservation_id].quantity
        if available >= quantity:
            return due
    # Where too many are sold, no hold that ends is of any help.
    is_enough_held = stock.available + stock.held >= quantity
    raise SoldOut(available, stock.next_hold_ends_at(at) if is_enough_held else None)
