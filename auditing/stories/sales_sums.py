"""What buyers did to an event, added up: a function for each type of domain event that holds, sells or releases."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from domain.domain_event import DomainEvent
from domain.event_facts import TicketsHeld, TicketsReleased, TicketsSold


class SalesSum:
    """Tickets of one type: held, paid, and released by reason; amounts in the currency's minor unit."""

    def __init__(self, ticket_type_id: UUID) -> None:
        self.ticket_type_id = ticket_type_id
        self.held = 0
        self.paid = 0
        self.released: Counter[str] = Counter()
        self.revenue_minor = 0
        self.refunds_due_minor = 0


def _held(total: SalesSum, it: TicketsHeld) -> None:
    total.held += it.quantity


def _sold(total: SalesSum, it: TicketsSold) -> None:
    total.paid += it.quantity
    total.revenue_minor += it.amount_minor


def _released(total: SalesSum, it: TicketsReleased) -> None:
    total.released[it.reason] += it.quantity
    total.refunds_due_minor += it.refund_due_minor


SUMMED: dict[type[DomainEvent], Callable[[SalesSum, Any], None]] = {
    TicketsHeld: _held,
    TicketsSold: _sold,
    TicketsReleased: _released,
}
