"""What buyers did to an event, added up: a function for each type of domain event that tells of their tickets."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from domain.domain_event import DomainEvent
from domain.event_facts import HoldExtended, TicketsHeld, TicketsReduced, TicketsReleased, TicketsSold


class SalesSum:
    """Tickets of one type: held, held longer, paid, and released by reason; amounts in the currency's minor unit."""

    def __init__(self, ticket_type_id: UUID) -> None:
        self.ticket_type_id = ticket_type_id
        self.held = 0
        self.held_longer = 0
        self.paid = 0
        self.released: Counter[str] = Counter()
        self.revenue_minor = 0
        self.refunds_due_minor = 0


def _held(total: SalesSum, it: TicketsHeld) -> None:
    total.held += it.quantity


def _extended(total: SalesSum, it: HoldExtended) -> None:
    total.held_longer += it.quantity


def _sold(total: SalesSum, it: TicketsSold) -> None:
    total.paid += it.quantity
    total.revenue_minor += it.amount_minor


def _reduced(total: SalesSum, it: TicketsReduced) -> None:
    total.released["buyer"] += it.quantity
    total.refunds_due_minor += it.refund_due_minor


def _released(total: SalesSum, it: TicketsReleased) -> None:
    total.released[it.reason] += it.quantity
    total.refunds_due_minor += it.refund_due_minor


SUMMED: dict[type[DomainEvent], Callable[[SalesSum, Any], None]] = {
    TicketsHeld: _held,
    HoldExtended: _extended,
    TicketsSold: _sold,
    TicketsReduced: _reduced,
    TicketsReleased: _released,
}
