"""The rules of one event, looked at from outside: each domain event is judged by what is in force at its position."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from auditing.findings import Rule
from domain.event_facts import (
    CapacityChanged,
    EventCancelled,
    EventCreated,
    HoldExtended,
    PriceChanged,
    TicketsHeld,
    TicketsReduced,
    TicketsReleased,
    TicketsReturned,
    TicketsSold,
    TicketsWithheld,
    TicketTypeAdded,
)
from domain.inventory import Hold, Stock
from domain.ticketed_event import TicketedEvent

OF_TICKET_TYPES = (
    TicketsHeld,
    HoldExtended,
    TicketsSold,
    TicketsReduced,
    TicketsReleased,
    CapacityChanged,
    PriceChanged,
    TicketsWithheld,
    TicketsReturned,
)

Broken = tuple[Rule, str]
Tickets = tuple[UUID, UUID, int]


class EventRules:
    """Folds an event and says which rules its next domain event breaks.

    Memory grows with its buyers and open holds, as the event's own state does, and with the reservations now paid.
    """

    def __init__(self) -> None:
        self.kept: Any = None
        # What each paid reservation has, so that nothing else is given back.
        self._sold: dict[UUID, Tickets] = {}
        # What a ticket of each reservation costs that is held or paid: the type's price may have changed since.
        self._prices_minor: dict[UUID, int] = {}
        # The open holds that had their one extension.
        self._once_extended: set[UUID] = set()

    def broken_by(self, it: Any) -> Iterable[Broken]:
        """The rules that this domain event breaks, in the state before it."""
        event: TicketedEvent = self.kept
        if isinstance(it, OF_TICKET_TYPES) and it.ticket_type_id not in event.stock:
            return [(Rule.TICKET_TYPE_UNKNOWN, f"The event has no ticket type {it.ticket_type_id}.")]
        match it:
            case TicketsHeld():
                return self._held(event, it)
            case HoldExtended():
                return self._extended(event, it)
            case TicketsSold():
                return self._sold_wrongly(event, it)
            case TicketsReduced():
                return self._reduced(event, it)
            case TicketsReleased():
                return self._released(event, it)
            case EventCreated():
                return self._created(it)
        return self._changed(event, it)

    def fold(self, it: Any) -> None:
        """Bring the event up to date. Raises for what can't be folded; the state is unknown afterwards."""
        if isinstance(it, EventCreated):
            self.kept = it.mutate(None)
            return
        event = self.kept
        if isinstance(it, TicketsHeld):
            self._prices_minor[it.reservation_id] = event.stock[it.ticket_type_id].offer.amount_minor
        elif isinstance(it, TicketsReleased):
            self._prices_minor.pop(it.reservation_id, None)
        event.apply(it)
        event.version, event.modified_on = it.originator_version, it.timestamp
        if isinstance(it, HoldExtended):
            self._once_extended.add(it.reservation_id)
        elif isinstance(it, TicketsSold | TicketsReleased):
            self._once_extended.discard(it.reservation_id)
        if isinstance(it, TicketsSold):
            self._sold[it.reservation_id] = tickets_of(it)
        elif isinstance(it, TicketsReduced) and it.was == "sold":
            buyer_id, ticket_type_id, quantity = self._sold[it.reservation_id]
            self._sold[it.reservation_id] = (buyer_id, ticket_type_id, quantity - it.quantity)
        elif isinstance(it, TicketsReleased) and it.was == "sold":
            del self._sold[it.reservation_id]

    def _created(self, created: EventCreated) -> Iterator[Broken]:
        if self.kept is not None:
            yield Rule.STREAM_UNKNOWN, "The event was created before."
        if len({offer.ticket_type_id for offer in created.ticket_types}) < len(created.ticket_types):
            yield Rule.STREAM_UNKNOWN, "Two ticket types have one id."

    def _held(self, event: TicketedEvent, held: TicketsHeld) -> Iterator[Broken]:
        at, stock = held.timestamp, event.stock[held.ticket_type_id]
        if event.cancelled:
            yield Rule.AFTER_EVENT_CANCELLED, "Tickets are held after the event was cancelled."
        if at >= event.details.ends_at:
            yield Rule.AFTER_EVENT_ENDED, f"Tickets are held at {at}; the event ended at {event.details.ends_at}."
        opens, closes = event.sales_window.sales_open_at, event.sales_window.sales_close_at
        if (opens and at < opens) or (closes and at >= closes):
            yield Rule.OUTSIDE_SALES_WINDOW, f"Tickets are held at {at}; sales are open from {opens} to {closes}."
        if held.quantity < 1 or held.reservation_id in event.holds or held.reservation_id in self._sold:
            yield Rule.RESERVATION_LIFE, "No tickets are held, or for a reservation that has some."
        tickets = event.tickets_of(held.buyer_id) + held.quantity
        if tickets > event.limits.max_per_buyer:
            yield Rule.LIMIT_PER_BUYER, f"The buyer has {tickets} tickets; allowed are {event.limits.max_per_buyer}."
        if held.quantity > stock.available:
            yield Rule.OVERSOLD, _more_than_there_are(stock, held.quantity)
        if held.hold_expires_at != at + timedelta(seconds=event.limits.hold_seconds):
            wrong = f"The hold ends at {held.hold_expires_at}, not {event.limits.hold_seconds} s after {at}."
            yield Rule.HOLD_LENGTH, wrong

    def _extended(self, event: TicketedEvent, extended: HoldExtended) -> Iterator[Broken]:
        hold = event.holds.get(extended.reservation_id)
        if hold is None or tickets_of(hold) != tickets_of(extended):
            yield Rule.NEVER_HELD, "A hold is extended that is not there so."
            return
        if extended.timestamp >= hold.hold_expires_at:
            yield Rule.EXTENDED_LATE, f"A hold is extended at {extended.timestamp}; it ended at {hold.hold_expires_at}."
        if extended.reservation_id in self._once_extended:
            yield Rule.RESERVATION_LIFE, "A hold is extended again."
        seconds = event.limits.hold_extension_seconds
        if not seconds or extended.hold_expires_at != hold.hold_expires_at + timedelta(seconds=seconds):
            wrong = f"The hold ends at {extended.hold_expires_at}, not {seconds} s after {hold.hold_expires_at}."
            yield Rule.HOLD_LENGTH, wrong
        if event.cancelled:
            yield Rule.AFTER_EVENT_CANCELLED, "A hold is extended after the event was cancelled."

    def _sold_wrongly(self, event: TicketedEvent, sold: TicketsSold) -> Iterator[Broken]:
        hold = event.holds.get(sold.reservation_id)
        if hold is None or tickets_of(hold) != tickets_of(sold):
            yield Rule.NEVER_HELD, "Tickets are sold that are not held so."
        elif sold.timestamp >= hold.hold_expires_at:
            yield Rule.PAID_LATE, f"Tickets are sold at {sold.timestamp}; they were held until {hold.hold_expires_at}."
        if event.cancelled:
            yield Rule.AFTER_EVENT_CANCELLED, "Tickets are sold after the event was cancelled."
        offer = event.stock[sold.ticket_type_id].offer
        price_minor = self._prices_minor.get(sold.reservation_id, offer.amount_minor)
        if (sold.amount_minor, sold.currency) != (price_minor * sold.quantity, offer.currency):
            yield Rule.AMOUNT_WRONG, f"{sold.quantity} tickets of {price_minor} are sold for {sold.amount_minor}."

    def _reduced(self, event: TicketedEvent, reduced: TicketsReduced) -> Iterator[Broken]:
        at, offer, refund_due_minor = reduced.timestamp, event.stock[reduced.ticket_type_id].offer, 0
        hold = event.holds.get(reduced.reservation_id)
        if reduced.was == "held":
            has = tickets_of(hold) if hold else None
            if hold and at >= hold.hold_expires_at:
                yield Rule.CANCELLED_LATE, f"A hold is reduced at {at}; it was over at {hold.hold_expires_at}."
        else:
            has = self._sold.get(reduced.reservation_id)
            refund_due_minor = self._prices_minor.get(reduced.reservation_id, offer.amount_minor) * reduced.quantity
            if at >= event.details.ends_at:
                yield Rule.AFTER_EVENT_ENDED, f"Tickets are given back at {at}, after the event."
        all_of_it = (reduced.buyer_id, reduced.ticket_type_id, reduced.quantity + reduced.quantity_left)
        if has != all_of_it or min(reduced.quantity, reduced.quantity_left) < 1:
            yield Rule.NEVER_HELD, f"Tickets are given back of others than are {reduced.was} so."
        if (reduced.refund_due_minor, reduced.currency) != (refund_due_minor, offer.currency):
            yield Rule.AMOUNT_WRONG, f"The refund due is {reduced.refund_due_minor} instead of {refund_due_minor}."

    def _released(self, event: TicketedEvent, released: TicketsReleased) -> Iterator[Broken]:
        at, offer = released.timestamp, event.stock[released.ticket_type_id].offer
        refund_due_minor = 0
        if released.was == "held":
            hold = event.holds.get(released.reservation_id)
            if hold is None or tickets_of(hold) != tickets_of(released):
                yield Rule.NEVER_HELD, "Tickets are released that are not held so."
            elif released.reason == "expired" and at < hold.hold_expires_at:
                yield Rule.EXPIRED_EARLY, f"A hold expires at {at}, before {hold.hold_expires_at}."
            elif released.reason != "expired" and at >= hold.hold_expires_at:
                yield Rule.CANCELLED_LATE, f"A hold is cancelled at {at}; it was over at {hold.hold_expires_at}."
        else:
            price_minor = self._prices_minor.get(released.reservation_id, offer.amount_minor)
            refund_due_minor = price_minor * released.quantity
            if self._sold.get(released.reservation_id) != tickets_of(released):
                yield Rule.NEVER_HELD, "Tickets are given back that are not sold so."
            if released.reason == "expired":
                yield Rule.RESERVATION_LIFE, "Tickets that are sold expire."
            if released.reason == "buyer" and at >= event.details.ends_at:
                yield Rule.AFTER_EVENT_ENDED, f"Tickets are given back at {at}, after the event."
        if released.reason == "event-cancelled" and not event.cancelled:
            yield Rule.NOT_CANCELLED, "Tickets are taken back for a cancellation that never was."
        if (released.refund_due_minor, released.currency) != (refund_due_minor, offer.currency):
            yield Rule.AMOUNT_WRONG, f"The refund due is {released.refund_due_minor} instead of {refund_due_minor}."

    def _changed(self, event: TicketedEvent, changed: Any) -> Iterator[Broken]:
        if event.cancelled:
            yield Rule.AFTER_EVENT_CANCELLED, "The event is changed after it was cancelled."
        if changed.timestamp >= event.details.ends_at and not isinstance(changed, EventCancelled):
            yield Rule.AFTER_EVENT_ENDED, f"The event is changed at {changed.timestamp}, after its end."
        if isinstance(changed, CapacityChanged):
            stock = event.stock[changed.ticket_type_id]
            taken = stock.taken + stock.withheld
            if changed.capacity < taken:
                wrong = f"{taken} tickets are taken or withheld; the capacity becomes {changed.capacity}."
                yield Rule.CAPACITY_BELOW_TAKEN, wrong
        elif isinstance(changed, TicketTypeAdded):
            yield from _added_wrongly(event, changed)
        elif isinstance(changed, PriceChanged) and changed.amount_minor < 0:
            yield Rule.AMOUNT_WRONG, f"A ticket costs {changed.amount_minor}."
        elif isinstance(changed, TicketsWithheld | TicketsReturned):
            yield from _moved_wrongly(event.stock[changed.ticket_type_id], changed)


def _added_wrongly(event: TicketedEvent, added: TicketTypeAdded) -> Iterator[Broken]:
    if added.ticket_type.ticket_type_id in event.stock:
        yield Rule.STREAM_UNKNOWN, "Two ticket types have one id."
    if added.place != len(event.stock) + 1:
        yield Rule.STREAM_UNKNOWN, f"A ticket type is added at place {added.place}, behind {len(event.stock)}."


def _moved_wrongly(stock: Stock, moved: TicketsWithheld | TicketsReturned) -> Iterator[Broken]:
    if moved.quantity < 1:
        yield Rule.NEVER_WITHHELD, "No tickets are withheld or returned."
    elif isinstance(moved, TicketsWithheld) and moved.quantity > stock.available:
        yield Rule.OVERSOLD, _more_than_there_are(stock, moved.quantity)
    elif isinstance(moved, TicketsReturned) and moved.quantity > stock.withheld:
        yield Rule.NEVER_WITHHELD, f"{moved.quantity} tickets are returned; {stock.withheld} are withheld."


def _more_than_there_are(stock: Stock, quantity: int) -> str:
    taken = stock.taken + stock.withheld + quantity
    or_withheld = " or withheld" if stock.withheld else ""
    return f"{taken} tickets of the type are taken{or_withheld}; there are {stock.capacity}."


def tickets_of(it: Hold | TicketsHeld | HoldExtended | TicketsSold | TicketsReleased) -> Tickets:
    """Whose tickets, of which type, and how many."""
    return it.buyer_id, it.ticket_type_id, it.quantity
