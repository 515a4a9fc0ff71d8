"""Holds whose time is over: how they end, and how many of them one command takes back."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import islice
from uuid import UUID

from domain.commands import ExpireReservation
from domain.decision import Decision, Draft
from domain.event_facts import TicketsReleased
from domain.inventory import Stock
from domain.reservation import ReservationExpired
from domain.ticketed_event import TicketedEvent

# So many due holds one command takes back at the most: what is appended at once stays small, whoever asks.
MOST_DUE_HOLDS = 500


class TooManyDueHolds(Exception):
    """The command needs more due holds taken back than one may: these come first, by commands of their own."""

    def __init__(self, reservation_ids: Sequence[UUID]) -> None:
        super().__init__(len(reservation_ids))
        self.reservation_ids = reservation_ids


def expire_holds(draft: Draft, event: TicketedEvent, reservation_ids: Iterable[UUID]) -> ReservationExpired | None:
    """Add the end of each hold to both streams; returns the last one."""
    expired = None
    for reservation_id in reservation_ids:
        hold = event.holds[reservation_id]
        draft.add(
            TicketsReleased,
            event.id,
            event.version,
            by_system=True,
            reservation_id=reservation_id,
            buyer_id=hold.buyer_id,
            ticket_type_id=hold.ticket_type_id,
            quantity=hold.quantity,
            was="held",
            reason="expired",
            refund_due_minor=0,
            currency=event.stock[hold.ticket_type_id].offer.currency,
        )
        expired = draft.add(
            ReservationExpired, reservation_id, hold.reservation_version, by_system=True, event_id=event.id
        )
    return expired


def expire_due(command: ExpireReservation, event: TicketedEvent, now: datetime) -> Decision:
    """Take back a due hold of which nothing is known but the event's side."""
    draft = Draft(command, max(now, event.modified_on))
    expire_holds(draft, event, [command.reservation_id])
    return Decision(tuple(draft.domain_events), event.record, event.id, event.version + 1)


def due_holds_for(event: TicketedEvent, stock: Stock, most_taken: int, at: datetime) -> tuple[int, list[UUID]]:
    """How many tickets come back of the due holds that have to end so that `most_taken` are taken, and which these are.

    Oldest deadline first, and only as many as that needs; where all of them are too few, all of them.
    """
    freed, due = 0, []
    for reservation_id in stock.due_holds(at):
        if stock.taken - freed <= most_taken:
            break
        due.append(reservation_id)
        freed += event.holds[reservation_id].quantity
    return freed, due


def check_due_holds(reservation_ids: Collection[UUID]) -> None:
    """Raises `TooManyDueHolds`, naming the first of them, when these are more than one command takes back."""
    if len(reservation_ids) > MOST_DUE_HOLDS:
        raise TooManyDueHolds(list(islice(reservation_ids, MOST_DUE_HOLDS)))
