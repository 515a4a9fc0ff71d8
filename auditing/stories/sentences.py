"""What happened to a purchase, and why not, in plain English: one sentence for each domain event and each refusal."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from auditing.replay.formatting import money, span, taken, tickets
from auditing.stories.shortage import Since
from domain.domain_event import SYSTEM
from domain.errors import spoken
from domain.event_facts import HoldExtended, TicketsHeld, TicketsReduced, TicketsReleased, TicketsSold
from eventstore.writing.refused_attempts import RefusedAttempt
from projections.tables.events import EventRow
from projections.tables.ticket_types import TicketTypeRow

OfPurchase = TicketsHeld | HoldExtended | TicketsReduced | TicketsSold | TicketsReleased

ATTEMPTS = {
    "ReserveTickets": "Refused",
    "ExtendReservation": "Extension refused",
    "PayReservation": "Payment refused",
    "CancelReservation": "Cancellation refused",
    "RevokeReservation": "Cancellation for the organiser refused",
    "CreateEvent": "Creation of the event refused",
    "ChangeEvent": "Change of the event refused",
    "CancelEvent": "Cancellation of the event refused",
    "AddTicketType": "Adding a ticket type refused",
    "WithholdTickets": "Withholding tickets refused",
    "ReturnTickets": "Returning withheld tickets refused",
}


class Situation(NamedTuple):
    """What is known at a refusal: its facts, what it was about as it stood there, and since when that was so.

    `short_since`: fewer tickets than asked for were left. `held_since`, `ended_since`: the reservation in question was
    held, and paid or given back. `cancelled_since`: the event was cancelled.
    """

    attempt: RefusedAttempt
    facts: dict[str, Any]
    event: EventRow | None = None
    ticket_type: TicketTypeRow | None = None
    short_since: Since | None = None
    held_since: Since | None = None
    ended_since: Since | None = None
    cancelled_since: Since | None = None


def of_domain_event(
    it: OfPurchase, ticket_type: TicketTypeRow, held: TicketsHeld | None, cancelled: Since | None
) -> str:
    """What a domain event of a purchase says, with the counts after it.

    `held` is how the purchase began, `cancelled` when its event was cancelled, if it was.
    """
    what, who, were = tickets(it.quantity, ticket_type.name), _who(it), _were(it.quantity)
    match it:
        case TicketsHeld():
            told = f"{what} {were} held for the buyer until {spoken(it.hold_expires_at)}"
        case HoldExtended():
            told = f"{who} got more time to pay for {what}, until {spoken(it.hold_expires_at)}"
        case TicketsSold(amount_minor=0):
            told = f"{what} {were} confirmed by {who}, free of charge"
        case TicketsSold():
            told = f"{what} {were} paid by {who}, {money(it.amount_minor, it.currency)} in all"
        case TicketsReduced():
            told = f"{who} gave {what} back that {were} {'held' if it.was == 'held' else 'paid'} and kept "
            told += f"{it.quantity_left:,}, and {_refund(it)}"
        case TicketsReleased(reason="expired"):
            deadline = f"by {spoken(held.hold_expires_at)}" if held else "in time"
            they = "it" if it.quantity == 1 else "they"
            told = f"{what} {were} taken back by {who}, because {they} {were} not paid {deadline}"
        case TicketsReleased():
            told = f"{who} cancelled {what} that {were} {'held' if it.was == 'held' else 'paid'}{_why(it, cancelled)}"
            told += f", and {_refund(it)}"
    count = ticket_type.reserved + ticket_type.paid
    return f"{told[0].upper()}{told[1:]}; {taken(count, ticket_type.capacity)} {_were(count)} then taken."


def of_refusal(situation: Situation) -> str:
    """What was refused, why, and since when that was so; with the counts where they are the reason."""
    attempt = situation.attempt
    why = REASONS[attempt.code](situation) if attempt.code in REASONS else "no more is known"
    more = " Further refusals of this account in the same minute were not kept." if attempt.last_kept else ""
    return f"{ATTEMPTS.get(attempt.command, 'Refused')} as {attempt.code}: {why}.{more}"


def _who(it: OfPurchase) -> str:
    if isinstance(it, TicketsReleased) and it.reason == "organiser":
        return f"for the organiser, account {it.actor_id}"
    if it.actor_id == str(it.buyer_id):
        return "the buyer"
    return "the system" if it.actor_id == SYSTEM else f"account {it.actor_id}"


def _were(quantity: int) -> str:
    return "was" if quantity == 1 else "were"


def _why(released: TicketsReleased, cancelled: Since | None) -> str:
    if released.reason != "event-cancelled":
        return ""
    return " because the event was cancelled" + (f" at position {cancelled.position:,}" if cancelled else "")


def _refund(released: TicketsReleased | TicketsReduced) -> str:
    if released.refund_due_minor:
        return f"a refund of {money(released.refund_due_minor, released.currency)} is due"
    return "nothing had been paid" if released.was == "held" else "nothing is to be refunded"


def _sold_out(it: Situation) -> str:
    attempt, stock = it.attempt, it.ticket_type
    if attempt.capacity is None or attempt.reserved is None or attempt.paid is None:
        return f"{it.facts.get('available', 0):,} were left"
    withheld = attempt.withheld if attempt.withheld is not None else stock.withheld if stock else 0
    counts = taken(attempt.reserved + attempt.paid, attempt.capacity) + " taken"
    counts += f" and {withheld:,} withheld" if withheld else ""
    quantity, left = attempt.quantity or 1, attempt.capacity - withheld - attempt.reserved - attempt.paid
    since = f" since position {it.short_since.position:,}" if it.short_since else ""
    if left == 0 and quantity == 1:
        why = f"{counts}{since}"
    else:
        asked = tickets(quantity, stock.name) if stock else f"{quantity:,}"
        why = f"{asked} asked for, {counts}, too few left{since}"
    due = it.facts.get("available", left) - left
    if due:
        why += f", and holds past their time would have given back only {due:,}"
    return why + (f"; this was decided {_later(it.short_since.at, attempt.refused_at)}" if it.short_since else "")


def _limit(it: Situation) -> str:
    limit, held = it.facts.get("limit", 0), it.facts.get("held", 0)
    asked = it.attempt.quantity or 1
    why = f"{asked:,} asked for, and of at most {limit:,} a buyer this account had {held:,}"
    if it.held_since is None:
        return why
    return (
        f"{why}, the last of them held at position {it.held_since.position:,}; "
        f"this was decided {_later(it.held_since.at, it.attempt.refused_at)}"
    )


def _not_open(it: Situation) -> str:
    opens_at = _instant(it.facts.get("sales_open_at"))
    return f"sales opened at {spoken(opens_at)} only, {span(opens_at - it.attempt.refused_at)} after this was decided"


def _closed(it: Situation) -> str:
    closed_at = it.event.sales_close_at if it.event else None
    return f"sales had closed at {_before(closed_at, it)}" if closed_at else "sales had closed"


def _ended(it: Situation) -> str:
    return f"the event had ended at {_before(it.event.ends_at, it)}" if it.event else "the event had ended"


def _event_cancelled(it: Situation) -> str:
    since = it.cancelled_since
    if since is None:
        return "the event had been cancelled"
    return (
        f"the event had been cancelled at position {since.position:,}; "
        f"this was decided {_later(since.at, it.attempt.refused_at)}"
    )


def _hold_expired(it: Situation) -> str:
    return f"the hold had ended at {_before(_instant(it.facts.get('hold_expires_at')), it)}"


def _not_payable(it: Situation) -> str:
    why = f"the reservation was {it.facts.get('reservation_status', 'ended')} already"
    if it.ended_since is None:
        return why
    later = _later(it.ended_since.at, it.attempt.refused_at)
    return f"{why}, since position {it.ended_since.position:,}; this was decided {later}"


def _invalid(it: Situation) -> str:
    return f"{it.facts.get('field', 'the request')} {it.facts.get('problem', 'does not fit the event')}"


def _changed_meanwhile(it: Situation) -> str:
    return f"the event had been changed since, to its edition {it.facts.get('edition', 0):,}"


def _below_taken(it: Situation) -> str:
    return f"{it.facts.get('taken', 0):,} tickets of that type were taken or withheld, more than the capacity asked for"


def _too_few_to_withhold(it: Situation) -> str:
    return f"{it.attempt.quantity or 1:,} asked for, and {it.facts.get('available', 0):,} were left"


def _too_few_withheld(it: Situation) -> str:
    return f"{it.attempt.quantity or 1:,} asked for, and {it.facts.get('withheld', 0):,} were withheld"


def _always(why: str) -> Callable[[Situation], str]:
    return lambda _: why


REASONS: dict[str, Callable[[Situation], str]] = {
    "sold-out": _sold_out,
    "limit-per-buyer": _limit,
    "sales-not-open": _not_open,
    "sales-closed": _closed,
    "event-ended": _ended,
    "event-cancelled": _event_cancelled,
    "hold-expired": _hold_expired,
    "extension-not-offered": _always("the organiser offered no more time to pay"),
    "not-extendable": _not_payable,
    "more-than-reserved": lambda it: f"the reservation had {it.facts.get('quantity', 0):,} tickets, fewer than that",
    "too-many-parts": _always("parts of the reservation had been given back as often as they may be"),
    "not-payable": _not_payable,
    "changed-meanwhile": _changed_meanwhile,
    "capacity-below-taken": _below_taken,
    "too-few-to-withhold": _too_few_to_withhold,
    "too-few-withheld": _too_few_withheld,
    "invalid-request": _invalid,
    "not-found": _always("this account has no such reservation"),
    "event-not-found": _always("there was no event of this id"),
    "event-exists": _always("the organiser had an event of this title and start already"),
    "ticket-type-required": _always("the event has several ticket types, and none was named"),
    "ticket-type-not-found": _always("the event has no ticket type of the id that was asked for"),
    "idempotency-key-reused": _always("the Idempotency-Key had come with another request before"),
    "forbidden": _always("this account is not the event's organiser"),
}


def _instant(fact: Any) -> datetime:
    return datetime.fromisoformat(fact)


def _before(instant: datetime, it: Situation) -> str:
    return f"{spoken(instant)}, {span(it.attempt.refused_at - instant)} before this was decided"


def _later(then: datetime, now: datetime) -> str:
    return f"{span(now - then)} later" if now > then else "at the same moment, right behind it"
