"""Who has which tickets of an event right now: stock, open holds and buyers."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sortedcontainers import SortedList

MOST_TICKET_TYPES = 100
# What stands in for a currency where tickets are free and none was said (ISO 4217).
NO_CURRENCY = "XXX"

LAST_ID = UUID(int=2**128 - 1)


class TicketType(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of ticket; `amount_minor` is the price of one, in the minor unit of the ISO 4217 `currency`."""

    ticket_type_id: UUID
    name: str
    capacity: int
    amount_minor: int
    currency: str

    def price_minor(self, quantity: int) -> int:
        """The price of so many together."""
        return self.amount_minor * quantity


class Hold(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Tickets kept for a buyer who has not paid yet.

    `reservation_version` is how far the reservation's stream has come: the hold is ended in both streams by whoever has
    the event alone. Whatever adds to that stream before its end says so in the event's stream, too.
    """

    buyer_id: UUID
    ticket_type_id: UUID
    quantity: int
    hold_expires_at: datetime
    reservation_version: int = 1

    def changed(self, **facts: Any) -> "Hold":
        """The hold after one more domain event of its reservation."""
        return msgspec.structs.replace(self, **facts, reservation_version=self.reservation_version + 1)


class Buyer(msgspec.Struct, array_like=True, gc=False):
    """A buyer with tickets of the event; `paid_reservation_id` is the last one paid, None once that one is returned.

    `hold_ids` are in the order of holding, and changed in place: one buyer may have many.
    """

    tickets: int
    hold_ids: dict[UUID, None]
    paid_reservation_id: UUID | None


class StockRecord(NamedTuple):
    """How many tickets of one type there are, are held, are sold, and are withheld by the organiser."""

    offer: TicketType
    capacity: int
    held: int = 0
    sold: int = 0
    withheld: int = 0

    @property
    def available(self) -> int:
        return self.capacity - self.withheld - self.held - self.sold


class Stock:
    """One ticket type as it stands: held + sold + withheld never exceed capacity. Counts are tickets."""

    __slots__ = ("capacity", "deadlines", "held", "offer", "sold", "withheld")

    def __init__(self, offer: TicketType, capacity: int, held: int = 0, sold: int = 0, withheld: int = 0) -> None:
        self.offer = offer
        self.capacity = capacity
        self.held = held
        self.sold = sold
        self.withheld = withheld
        self.deadlines: SortedList[tuple[datetime, UUID]] = SortedList()

    @property
    def record(self) -> StockRecord:
        return StockRecord(self.offer, self.capacity, self.held, self.sold, self.withheld)

    @property
    def taken(self) -> int:
        return self.held + self.sold

    @property
    def available(self) -> int:
        return self.capacity - self.withheld - self.taken

    def due_holds(self, at: datetime) -> Iterator[UUID]:
        """Reservations whose hold is over, oldest deadline first."""
        for hold_expires_at, reservation_id in self.deadlines:
            if hold_expires_at > at:
                return
            yield reservation_id

    def next_hold_ends_at(self, at: datetime) -> datetime | None:
        """When the first hold ends that is not over yet; None when there is none."""
        running = self.deadlines.bisect_right((at, LAST_ID))
        return self.deadlines[running][0] if running < len(self.deadlines) else None
