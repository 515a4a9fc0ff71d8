"""What happened to an event, in plain English: a clause for each type of change, and one for sales in sums."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from auditing.replay.formatting import money, plain, span, taken, tickets
from auditing.replay.timeline import RELEASED
from auditing.stories.sales_sums import SalesSum
from domain.domain_event import SYSTEM, DomainEvent
from domain.errors import spoken
from domain.event_facts import (
    CapacityChanged,
    EventCancelled,
    EventCreated,
    EventDetailsChanged,
    LimitsChanged,
    PriceChanged,
    SalesWindowChanged,
    TicketsReturned,
    TicketsWithheld,
    TicketTypeAdded,
)
from projections.tables.events import EventRow
from projections.tables.ticket_types import TicketTypeRow

# Of a text that somebody wrote; the whole of it stands beside the sentence.
SHOWN_CHARACTERS = 80

# What a column is called in a sentence; others by their names.
NAMES = {
    "starts_at": "the start",
    "ends_at": "the end",
    "sales_open_at": "the opening of sales",
    "sales_close_at": "the close of sales",
    "max_per_buyer": "the limit per buyer",
    "hold_seconds": "the time to pay",
    "hold_extension_seconds": "the extension of the time to pay",
    "amount_minor": "the price",
}
NOTHING = {"sales_open_at": "at once", "sales_close_at": "the event's end"}


class Change(NamedTuple):
    """One column of the event, or of one of its ticket types, before and after; None where there was nothing."""

    what: str
    ticket_type_id: UUID | None
    before: Any
    after: Any


class Changed(NamedTuple):
    """What a domain event changed, and the event and its ticket types after it."""

    changes: Sequence[Change]
    event: EventRow
    ticket_types: Mapping[UUID, TicketTypeRow]


def of_change(it: DomainEvent, changed: Changed) -> str:
    """Who changed what, from what to what."""
    return f"{_who(it.actor_id, changed.event)} {CLAUSES[type(it)](it, changed)}."


def of_sales(sums: Sequence[SalesSum], ticket_types: Mapping[UUID, TicketTypeRow], took: timedelta) -> str:
    """What was sold and given back of each ticket type, in how much time, and the counts after that."""
    told = "; ".join(_sold(one, ticket_types[one.ticket_type_id]) for one in sums)
    return f"In {span(took)}: {told}." if took else f"{told}."


def _sold(total: SalesSum, row: TicketTypeRow) -> str:
    told = [f"{total.held:,} held"] if total.held else []
    told += [f"{total.held_longer:,} held longer"] if total.held_longer else []
    if total.paid:
        price = f"for {money(total.revenue_minor, row.currency)}" if total.revenue_minor else "free of charge"
        told.append(f"{total.paid:,} paid {price}")
    told += [f"{count:,} {RELEASED[reason]}" for reason, count in sorted(total.released.items())]
    if total.refunds_due_minor:
        told.append(f"refunds of {money(total.refunds_due_minor, row.currency)} due")
    return f"{plain(row.name)} {', '.join(told)}, {_then_taken(row)}"


def _then_taken(row: TicketTypeRow) -> str:
    return f"with {taken(row.reserved + row.paid, row.capacity)} then taken"


def _who(actor_id: str, event: EventRow) -> str:
    if actor_id == str(event.organiser_id):
        return "The organiser"
    return "The system" if actor_id == SYSTEM else f"Account {actor_id}"


def _created(_it: EventCreated, changed: Changed) -> str:
    event = changed.event
    offered = ", ".join(_offered(row) for row in changed.ticket_types.values())
    when = f"from {spoken(event.starts_at)} to {spoken(event.ends_at)}"
    return f"created the event {_text(event.title)}, {when}, with {offered}"


def _offered(row: TicketTypeRow) -> str:
    price = f"at {money(row.amount_minor, row.currency)}" if row.amount_minor else "free of charge"
    return f"{tickets(row.capacity, row.name)} {price}"


def _told(_it: DomainEvent, changed: Changed) -> str:
    """Every column that is another now."""
    told = [_from_to(change, changed) for change in changed.changes]
    return "changed " + (" and ".join([", ".join(told[:-1]), told[-1]] if told[1:] else told) or "nothing")


def _capacity_changed(it: CapacityChanged, changed: Changed) -> str:
    return f"{_told(it, changed)}, {_then_taken(changed.ticket_types[it.ticket_type_id])}"


def _type_added(it: TicketTypeAdded, changed: Changed) -> str:
    return f"added a ticket type, with {_offered(changed.ticket_types[it.ticket_type.ticket_type_id])}"


def _withheld(it: TicketsWithheld, changed: Changed) -> str:
    row = changed.ticket_types[it.ticket_type_id]
    return f"withheld {tickets(it.quantity, row.name)}, {_then_withheld(row)}"


def _put_back(it: TicketsReturned, changed: Changed) -> str:
    row = changed.ticket_types[it.ticket_type_id]
    return f"put {tickets(it.quantity, row.name)} back on sale, {_then_withheld(row)}"


def _then_withheld(row: TicketTypeRow) -> str:
    return f"{_then_taken(row)} and {row.withheld:,} withheld"


def _cancelled(_it: EventCancelled, changed: Changed) -> str:
    rows = changed.ticket_types.values()
    count, capacity = sum(row.reserved + row.paid for row in rows), sum(row.capacity for row in rows)
    return f"cancelled the event, of which {taken(count, capacity)} tickets were taken"


def _from_to(change: Change, changed: Changed) -> str:
    row = changed.ticket_types.get(change.ticket_type_id) if change.ticket_type_id else None
    name = NAMES.get(change.what, f"the {change.what.replace('_', ' ')}") + (f" of {plain(row.name)}" if row else "")
    before, after = (_said(change.what, value, row) for value in (change.before, change.after))
    return f"{name} from {before} to {after}"


def _said(what: str, value: Any, row: TicketTypeRow | None) -> str:
    match value:
        case None:
            return NOTHING.get(what, "nothing")
        case datetime():
            return spoken(value)
        case int() if what == "amount_minor" and row:
            return money(value, row.currency)
        case int():
            return f"{value:,}" + (" s" if what.endswith("_seconds") else "")
    return _text(str(value))


def _text(text: str) -> str:
    shown = plain(text)
    return f"“{shown if len(shown) <= SHOWN_CHARACTERS else shown[: SHOWN_CHARACTERS - 1] + '…'}”"


# One function for each type of domain event that an organiser brings about; what buyers do is in `sales_sums`.
CLAUSES: dict[type[DomainEvent], Callable[[Any, Changed], str]] = {
    EventCreated: _created,
    EventDetailsChanged: _told,
    CapacityChanged: _capacity_changed,
    SalesWindowChanged: _told,
    LimitsChanged: _told,
    TicketTypeAdded: _type_added,
    PriceChanged: _told,
    TicketsWithheld: _withheld,
    TicketsReturned: _put_back,
    EventCancelled: _cancelled,
}
