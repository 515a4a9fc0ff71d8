"""One purchase is told twice: what the stream of the event says has to be what the stream of the reservation says."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

from domain.domain_event import DomainEvent
from domain.event_facts import HoldExtended, TicketsHeld, TicketsReduced, TicketsReleased, TicketsSold
from domain.reservation import (
    ReservationCancelled,
    ReservationExpired,
    ReservationExtended,
    ReservationPaid,
    ReservationPlaced,
    ReservationReduced,
)

Facts = tuple[Any, ...]

# Beside the event and the reservation, whose ids are called otherwise in each stream.
HELD = ("actor_id", "buyer_id", "ticket_type_id", "quantity", "hold_expires_at")


class Pairing(NamedTuple):
    """Facts that both tell, by name: `ours` in the stream of the event, `theirs` in that of the reservation."""

    names: tuple[str, ...]
    ours: Callable[[Any], Facts]
    theirs: Callable[[Any], Facts]


PARTNERS: dict[tuple[type[DomainEvent], type[DomainEvent]], Pairing] = {
    (TicketsHeld, ReservationPlaced): Pairing(
        ("event", "reservation", "actor", "buyer", "ticket type", "quantity", "deadline"),
        attrgetter("originator_id", "reservation_id", *HELD),
        attrgetter("event_id", "originator_id", *HELD),
    ),
    (HoldExtended, ReservationExtended): Pairing(
        ("event", "reservation", "actor", "deadline"),
        attrgetter("originator_id", "reservation_id", "actor_id", "hold_expires_at"),
        attrgetter("event_id", "originator_id", "actor_id", "hold_expires_at"),
    ),
    (TicketsSold, ReservationPaid): Pairing(
        ("event", "reservation", "actor", "amount", "currency"),
        attrgetter("originator_id", "reservation_id", "actor_id", "amount_minor", "currency"),
        attrgetter("event_id", "originator_id", "actor_id", "amount_minor", "currency"),
    ),
    (TicketsReduced, ReservationReduced): Pairing(
        ("event", "reservation", "actor", "quantity", "refund", "currency"),
        attrgetter("originator_id", "reservation_id", "actor_id", "quantity_left", "refund_due_minor", "currency"),
        attrgetter("event_id", "originator_id", "actor_id", "quantity", "refund_due_minor", "currency"),
    ),
    (TicketsReleased, ReservationExpired): Pairing(
        ("event", "reservation", "actor", "reason", "refund"),
        attrgetter("originator_id", "reservation_id", "actor_id", "reason", "refund_due_minor"),
        lambda r: (r.event_id, r.originator_id, r.actor_id, "expired", 0),
    ),
    (TicketsReleased, ReservationCancelled): Pairing(
        ("event", "reservation", "actor", "reason", "refund", "currency"),
        attrgetter("originator_id", "reservation_id", "actor_id", "reason", "refund_due_minor", "currency"),
        attrgetter("event_id", "originator_id", "actor_id", "reason", "refund_due_minor", "currency"),
    ),
}
OF_TICKETS = frozenset(ours for ours, _ in PARTNERS)
OF_RESERVATIONS = frozenset(theirs for _, theirs in PARTNERS)


def disagreement(ours: DomainEvent, theirs: DomainEvent) -> str | None:
    """What the two of one step tell differently; None when they agree. Raises KeyError for two that are no pair."""
    pairing = PARTNERS[type(ours), type(theirs)]
    left, right = pairing.ours(ours), pairing.theirs(theirs)
    if left == right:
        return None
    return next(name for name, one, other in zip(pairing.names, left, right, strict=True) if one != other)
