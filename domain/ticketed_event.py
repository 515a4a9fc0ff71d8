"""An event that people attend: the inventory folded from its domain events."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple, Self, cast
from uuid import UUID

import msgspec
from eventsourcing.utils import register_topic

from domain.commands import Actor
from domain.domain_event import DomainEvent, KeptAggregate
from domain.event_facts import (
    CapacityChanged,
    EventCancelled,
    EventCreated,
    EventDetails,
    EventDetailsChanged,
    HoldExtended,
    Limits,
    LimitsChanged,
    PriceChanged,
    SalesWindow,
    SalesWindowChanged,
    TicketsHeld,
    TicketsReduced,
    TicketsReleased,
    TicketsReturned,
    TicketsSold,
    TicketsWithheld,
    TicketTypeAdded,
)
from domain.inventory import Buyer, Hold, Stock, StockRecord
from domain.on_sale import Sale, SaleFacts, sale_at

REMEMBERED_CHANGES = 100
# Measured sizes of what grows in an event, in bytes.
EVENT_BYTES = 3_000
STOCK_BYTES = 700
BUYER_BYTES = 400
HOLD_BYTES = 400
CHANGE_BYTES = 110
KEY_BYTES = 300


class EventRecord(NamedTuple):
    """An event as its organiser sees it at one version of its stream.

    `first_hold_ends_at` is when the first of its open holds ends, due ones included; None: there are none.
    """

    created: EventCreated
    details: EventDetails
    sales_window: SalesWindow
    limits: Limits
    stock: tuple[StockRecord, ...]
    cancelled: EventCancelled | None = None
    first_hold_ends_at: datetime | None = None
    edition: int = 1

    def sale_at(self, at: datetime) -> Sale:
        """Whether it is on sale."""
        available = sum(max(0, stock.available) for stock in self.stock)
        is_cancelled, ends_at = self.cancelled is not None, self.details.ends_at
        return sale_at(at, SaleFacts(is_cancelled, ends_at, self.sales_window, available, self.first_hold_ends_at))


def created_record(created: EventCreated) -> EventRecord:
    """The event as it was when it was created."""
    stock = tuple(StockRecord(t, t.capacity) for t in created.ticket_types)
    return EventRecord(created, created.details, created.sales_window, created.limits, stock)


class EventShape(msgspec.Struct, frozen=True):
    """All that a TicketedEvent keeps; it grows with buyers and open holds only."""

    created: EventCreated
    details: EventDetails
    sales_window: SalesWindow
    limits: Limits
    cancelled: EventRecord | None
    changed_by: tuple[UUID, ...]
    edition: int
    keys: dict[str, str]
    stock: list[StockRecord]
    holds: dict[UUID, Hold]
    buyers: dict[UUID, Buyer]


class TicketedEvent(KeptAggregate):
    """The state of one event: what it offers, who has tickets, and every open hold; nothing per past reservation."""

    TOPIC = "TicketedEvent"
    Shape = EventShape

    def __init__(self) -> None:
        # As the event stood when it was cancelled: what its canceller was answered.
        self.cancelled_record: EventRecord | None = None
        # The requests behind the latest changes, so that one of them sent again does not undo what came between.
        self.changed_by: tuple[UUID, ...] = ()
        # Of those that came with an idempotency key: the fingerprint of the request, by the key.
        self.keys: dict[str, str] = {}
        # The version of the last change by the organiser.
        self.edition = 1
        self.holds: dict[UUID, Hold] = {}
        self.buyers: dict[UUID, Buyer] = {}

    @property
    def ends_at(self) -> datetime:
        return self.details.ends_at

    @property
    def cancelled(self) -> EventCancelled | None:
        return self.cancelled_record.cancelled if self.cancelled_record else None

    def is_organised_by(self, actor: Actor) -> bool:
        """Whether the account may do what the organiser may: an admin may, too."""
        return actor.account_id == self.created.organiser_id or actor.is_admin

    @property
    def record(self) -> EventRecord:
        """The event as its organiser sees it now."""
        stock = tuple(stock.record for stock in self.stock.values())
        facts = self.created, self.details, self.sales_window, self.limits, stock, self.cancelled
        return EventRecord(*facts, self.first_hold_ends_at(), self.edition)

    @property
    def size_bytes(self) -> int:
        grown = STOCK_BYTES * len(self.stock) + BUYER_BYTES * len(self.buyers) + HOLD_BYTES * len(self.holds)
        grown += CHANGE_BYTES * len(self.changed_by) + KEY_BYTES * len(self.keys)
        return EVENT_BYTES + 4 * len(self.details.description or "") + grown

    def shape(self) -> EventShape:
        return EventShape(
            self.created,
            self.details,
            self.sales_window,
            self.limits,
            self.cancelled_record,
            self.changed_by,
            self.edition,
            self.keys,
            [stock.record for stock in self.stock.values()],
            self.holds,
            self.buyers,
        )

    @classmethod
    def restored(cls, shape: EventShape) -> Self:
        event: Any = shape.created.mutate(None)
        event.details, event.sales_window, event.limits = shape.details, shape.sales_window, shape.limits
        event.cancelled_record, event.changed_by = shape.cancelled, shape.changed_by
        event.edition, event.keys = shape.edition, shape.keys
        event.stock = {record.offer.ticket_type_id: Stock(*record) for record in shape.stock}
        event.buyers, event.holds = shape.buyers, shape.holds
        deadlines: dict[UUID, list[tuple[datetime, UUID]]] = {ticket_type_id: [] for ticket_type_id in event.stock}
        for reservation_id, hold in shape.holds.items():
            deadlines[hold.ticket_type_id].append((hold.hold_expires_at, reservation_id))
        for ticket_type_id, stock in event.stock.items():
            stock.deadlines.update(deadlines[ticket_type_id])
        return cast(Self, event)

    def tickets_of(self, buyer_id: UUID) -> int:
        """How many tickets the buyer has, held or sold."""
        buyer = self.buyers.get(buyer_id)
        return buyer.tickets if buyer else 0

    def first_hold_ends_at(self, but: Collection[UUID] = ()) -> datetime | None:
        """When the first of the open holds ends, due ones included, but for those of some reservations."""
        firsts = (next((ends_at for ends_at, i in s.deadlines if i not in but), None) for s in self.stock.values())
        return min((ends_at for ends_at in firsts if ends_at), default=None)

    def due_holds_of_buyer(self, buyer_id: UUID, at: datetime) -> list[UUID]:
        """Reservations of one buyer whose hold is over, oldest deadline first."""
        buyer = self.buyers.get(buyer_id)
        due = [i for i in buyer.hold_ids if self.holds[i].hold_expires_at <= at] if buyer else []
        return sorted(due, key=lambda i: (self.holds[i].hold_expires_at, i))

    def apply(self, domain_event: Any) -> None:
        match domain_event:
            case TicketsHeld():
                self._hold(domain_event)
            case TicketsSold():
                self._sell(domain_event)
            case TicketsReleased():
                self._release(domain_event)
            case HoldExtended(reservation_id=reservation_id, hold_expires_at=hold_expires_at):
                hold = self._close_hold(reservation_id)
                self.open_hold(reservation_id, hold.changed(hold_expires_at=hold_expires_at))
            case TicketsReduced():
                self._reduce(domain_event)
            case (
                EventDetailsChanged()
                | CapacityChanged()
                | SalesWindowChanged()
                | LimitsChanged()
                | TicketTypeAdded()
                | PriceChanged()
                | TicketsWithheld()
                | TicketsReturned()
            ):
                self._change(domain_event)
                self._remember_change(domain_event)
                self.edition = domain_event.originator_version
            case EventCreated():
                self.created = domain_event
                self.details = domain_event.details
                self.sales_window = domain_event.sales_window
                self.limits = domain_event.limits
                self.stock = {t.ticket_type_id: Stock(t, t.capacity) for t in domain_event.ticket_types}
            case EventCancelled():
                self.edition = domain_event.originator_version
                self.cancelled_record = self.record._replace(cancelled=domain_event)
            case _:
                super().apply(domain_event)

    def _change(self, changed: DomainEvent) -> None:
        match changed:
            case EventDetailsChanged():
                self.details = changed.details
            case CapacityChanged():
                self.stock[changed.ticket_type_id].capacity = changed.capacity
            case SalesWindowChanged():
                self.sales_window = changed.sales_window
            case LimitsChanged():
                self.limits = changed.limits
            case TicketTypeAdded(ticket_type=offer):
                self.stock[offer.ticket_type_id] = Stock(offer, offer.capacity)
            case PriceChanged():
                stock = self.stock[changed.ticket_type_id]
                stock.offer = msgspec.structs.replace(stock.offer, amount_minor=changed.amount_minor)
            case TicketsWithheld():
                self.stock[changed.ticket_type_id].withheld += changed.quantity
            case TicketsReturned():
                self.stock[changed.ticket_type_id].withheld -= changed.quantity

    def _remember_change(self, changed: DomainEvent) -> None:
        if self.changed_by[-1:] != (changed.request_id,):
            self.changed_by = (*self.changed_by[1 - REMEMBERED_CHANGES :], changed.request_id)
        if changed.idempotency is not None:
            latest = list(self.keys.items())[1 - REMEMBERED_CHANGES :]
            self.keys = dict([*latest, (changed.idempotency.key_sha256, changed.idempotency.request_sha256)])

    def _hold(self, held: TicketsHeld) -> None:
        hold = Hold(held.buyer_id, held.ticket_type_id, held.quantity, held.hold_expires_at)
        self.open_hold(held.reservation_id, hold).held += held.quantity
        buyer = self.buyers.get(held.buyer_id)
        if buyer is None:
            buyer = self.buyers[held.buyer_id] = Buyer(0, {}, None)
        buyer.tickets += held.quantity
        buyer.hold_ids[held.reservation_id] = None

    def _sell(self, sold: TicketsSold) -> None:
        self._close_hold(sold.reservation_id)
        stock = self.stock[sold.ticket_type_id]
        stock.held -= sold.quantity
        stock.sold += sold.quantity
        buyer = self.buyers[sold.buyer_id]
        del buyer.hold_ids[sold.reservation_id]
        buyer.paid_reservation_id = sold.reservation_id

    def _release(self, released: TicketsReleased) -> None:
        stock = self.stock[released.ticket_type_id]
        buyer = self.buyers[released.buyer_id]
        if released.was == "held":
            self._close_hold(released.reservation_id)
            stock.held -= released.quantity
            del buyer.hold_ids[released.reservation_id]
        else:
            stock.sold -= released.quantity
            if buyer.paid_reservation_id == released.reservation_id:
                buyer.paid_reservation_id = None
        buyer.tickets -= released.quantity
        if not buyer.tickets:
            del self.buyers[released.buyer_id]

    def _reduce(self, reduced: TicketsReduced) -> None:
        stock = self.stock[reduced.ticket_type_id]
        if hold := self.holds.get(reduced.reservation_id):
            stock.held -= reduced.quantity
            self.holds[reduced.reservation_id] = hold.changed(quantity=reduced.quantity_left)
        else:
            stock.sold -= reduced.quantity
        self.buyers[reduced.buyer_id].tickets -= reduced.quantity

    def open_hold(self, reservation_id: UUID, hold: Hold) -> Stock:
        """Keep a hold in the order of its deadline; returns its stock, whose counts are the caller's."""
        self.holds[reservation_id] = hold
        stock = self.stock[hold.ticket_type_id]
        stock.deadlines.add((hold.hold_expires_at, reservation_id))
        return stock

    def _close_hold(self, reservation_id: UUID) -> Hold:
        hold = self.holds.pop(reservation_id)
        self.stock[hold.ticket_type_id].deadlines.remove((hold.hold_expires_at, reservation_id))
        return hold


register_topic(TicketedEvent.TOPIC, TicketedEvent)
