"""The table `sales_by_minute`: one row per event, minute and ticket type, what was reserved, paid and given back."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.event_facts import TicketsHeld, TicketsReduced, TicketsReleased, TicketsSold
from projections.tables.table import Table

Key = tuple[UUID, datetime, UUID]
NOTHING = Decimal(0)


class SalesRow(msgspec.Struct, frozen=True, gc=False):
    """A ticket type's minute; the table's comments say what each column means."""

    event_id: UUID
    minute: datetime
    ticket_type_id: UUID
    placed: int = 0
    paid: int = 0
    expired: int = 0
    cancelled: int = 0
    returned: int = 0
    tickets_placed: int = 0
    tickets_paid: int = 0
    tickets_expired: int = 0
    tickets_cancelled: int = 0
    tickets_returned: int = 0
    revenue_minor: Decimal = NOTHING
    refunds_minor: Decimal = NOTHING
    currency: str | None = None
    position: int = 0


def fold(row: SalesRow | None, key: Key, position: int, domain_event: Any) -> SalesRow:
    """The minute's row after the domain event at `position`."""
    row = row or SalesRow(*key)
    quantity = domain_event.quantity
    match domain_event:
        case TicketsHeld():
            return replace(row, placed=row.placed + 1, tickets_placed=row.tickets_placed + quantity, position=position)
        case TicketsSold():
            return replace(
                row,
                paid=row.paid + 1,
                tickets_paid=row.tickets_paid + quantity,
                revenue_minor=row.revenue_minor + domain_event.amount_minor,
                currency=domain_event.currency,
                position=position,
            )
        case TicketsReleased(reason="expired"):
            return replace(
                row,
                expired=row.expired + 1,
                tickets_expired=row.tickets_expired + quantity,
                currency=domain_event.currency,
                position=position,
            )
        case TicketsReduced():
            return _given_back(row, domain_event, position)
        case TicketsReleased():
            row = replace(row, cancelled=row.cancelled + 1, returned=row.returned + (domain_event.was == "sold"))
            return _given_back(row, domain_event, position)
    raise AssertionError(f"sales do not fold {domain_event!r}")


def _given_back(row: SalesRow, tickets: TicketsReleased | TicketsReduced, position: int) -> SalesRow:
    returned = tickets.quantity if tickets.was == "sold" else 0
    return replace(
        row,
        tickets_cancelled=row.tickets_cancelled + tickets.quantity,
        tickets_returned=row.tickets_returned + returned,
        refunds_minor=row.refunds_minor + tickets.refund_due_minor,
        currency=tickets.currency,
        position=position,
    )


class Minutes:
    """Gives the minute of an instant. Remembers the last one: domain events come in order, and hashing a new one costs
    more than all else that is done to find its row.
    """

    def __init__(self) -> None:
        self._last = (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

    def __call__(self, at: datetime) -> datetime:
        minute, next_minute = self._last
        if not minute <= at < next_minute:
            minute = at.replace(second=0, microsecond=0)
            self._last = (minute, minute + timedelta(minutes=1))
        return minute


_minute_of = Minutes()


def _its_minute(domain_event: Any, _position: int) -> tuple[Key]:
    return ((domain_event.originator_id, _minute_of(domain_event.timestamp), domain_event.ticket_type_id),)


TABLE = Table(
    name="sales_by_minute",
    key=("event_id", "minute", "ticket_type_id"),
    row=SalesRow,
    changed_keys=dict.fromkeys((TicketsHeld, TicketsSold, TicketsReduced, TicketsReleased), _its_minute),
    births=frozenset(),
    fold=fold,
    stream="event_id",
)
