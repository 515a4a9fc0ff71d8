"""Books kept from the recorded domain events alone, in plain sums; they fail where a rule was broken."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from domain.domain_event import SYSTEM, DomainEvent
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
from domain.inventory import TicketType
from domain.reservation import (
    ReservationCancelled,
    ReservationExpired,
    ReservationExtended,
    ReservationPaid,
    ReservationPlaced,
    ReservationReduced,
)
from tests.domain.builders import ADMIN

OfReservation = (
    ReservationPlaced
    | ReservationExtended
    | ReservationReduced
    | ReservationPaid
    | ReservationExpired
    | ReservationCancelled
)
LIVES = {
    ("held",),
    ("held", "sold"),
    ("held", "expired"),
    ("held", "buyer"),
    ("held", "organiser"),
    ("held", "event-cancelled"),
    ("held", "sold", "buyer"),
    ("held", "sold", "organiser"),
    ("held", "sold", "event-cancelled"),
}


@dataclass
class Claim:
    """One reservation, as each of the two streams tells its life."""

    event_id: UUID
    held: TicketsHeld
    by_event: list[str] = field(default_factory=list)
    by_reservation: list[str] = field(default_factory=list)
    amount_minor: int = 0
    currency: str = ""
    # What the one extension has made the end of the hold, as each stream tells it.
    extended_by_event: datetime | None = None
    extended_by_reservation: datetime | None = None
    # Parts that were given back, less those that the reservation tells as well.
    parts: int = 0

    @property
    def hold_expires_at(self) -> datetime:
        return self.extended_by_event or self.held.hold_expires_at

    @property
    def state(self) -> str:
        return self.by_event[-1]

    @property
    def has_tickets(self) -> bool:
        return self.state in ("held", "sold")


@dataclass
class EventBook:
    """The rules in force, and the capacity of each ticket type."""

    created: EventCreated
    details: EventDetails
    window: SalesWindow
    limits: Limits
    capacities: dict[UUID, int]
    offers: dict[UUID, TicketType]
    is_cancelled: bool = False
    edition: int = 1
    withheld: Counter[UUID] = field(default_factory=Counter)

    @property
    def rules(self) -> tuple[Any, ...]:
        """All that an organiser can change, as it is now."""
        counts = dict(self.capacities), dict(self.withheld), dict(self.offers)
        return self.details, self.window, self.limits, *counts, self.is_cancelled

    @property
    def closes_at(self) -> datetime:
        return min(self.window.sales_close_at or self.details.ends_at, self.details.ends_at)

    def is_on_sale(self, at: datetime) -> bool:
        opens_at = self.window.sales_open_at
        return not self.is_cancelled and (opens_at is None or opens_at <= at) and at < self.closes_at


class Books:
    """Everything recorded so far."""

    def __init__(self) -> None:
        self.streams: dict[UUID, list[DomainEvent]] = {}
        self.history: list[DomainEvent] = []
        self.events: dict[UUID, EventBook] = {}
        self.claims: dict[UUID, Claim] = {}

    def claims_of(self, event_id: UUID, *, buyer_id: UUID | None = None, type_id: UUID | None = None) -> list[Claim]:
        """The reservations of an event that have tickets."""
        return [
            claim
            for claim in self.claims.values()
            if claim.event_id == event_id
            and claim.has_tickets
            and buyer_id in (None, claim.held.buyer_id)
            and type_id in (None, claim.held.ticket_type_id)
        ]

    def record(self, recorded: Sequence[DomainEvent]) -> None:
        """Enter what one command recorded, and check every rule after every domain event."""
        assert len({(e.timestamp, e.request_id) for e in recorded}) == 1
        for domain_event in recorded:
            self._enter_in_stream(domain_event)
            self._enter(domain_event)
            self._check_capacities()
        for book in self.events.values():
            check_times(book)
        for claim in self.claims.values():
            assert claim.by_event == claim.by_reservation
            assert claim.extended_by_event == claim.extended_by_reservation
            assert claim.parts == 0
            assert tuple(claim.by_event) in LIVES

    def _enter_in_stream(self, domain_event: DomainEvent) -> None:
        stream = self.streams.setdefault(domain_event.originator_id, [])
        assert domain_event.originator_version == len(stream) + 1
        assert not stream or stream[-1].timestamp <= domain_event.timestamp
        stream.append(domain_event)
        self.history.append(domain_event)

    def _enter(self, domain_event: DomainEvent) -> None:
        match domain_event:
            case EventCreated():
                self._create(domain_event)
            case TicketsHeld():
                self._hold(domain_event)
            case HoldExtended():
                self._extend(domain_event)
            case TicketsSold():
                self._sell(domain_event)
            case TicketsReduced():
                self._reduce(domain_event)
            case TicketsReleased():
                self._release(domain_event)
            case (
                ReservationPlaced()
                | ReservationExtended()
                | ReservationReduced()
                | ReservationPaid()
                | ReservationExpired()
                | ReservationCancelled()
            ):
                self._follow(domain_event)
            case _:
                self._organise(self.events[domain_event.originator_id], domain_event)

    def _check_capacities(self) -> None:
        for event_id, book in self.events.items():
            for type_id, capacity in book.capacities.items():
                taken = sum(claim.held.quantity for claim in self.claims_of(event_id, type_id=type_id))
                assert taken + book.withheld[type_id] <= capacity
                assert book.withheld[type_id] >= 0

    def _create(self, created: EventCreated) -> None:
        capacities = {t.ticket_type_id: t.capacity for t in created.ticket_types}
        offers = {t.ticket_type_id: t for t in created.ticket_types}
        book = EventBook(created, created.details, created.sales_window, created.limits, capacities, offers)
        assert created.actor_id == str(created.organiser_id)
        assert created.timestamp < created.details.starts_at
        self.events[created.originator_id] = book

    def _organise(self, book: EventBook, domain_event: DomainEvent) -> None:
        assert domain_event.actor_id in (str(book.created.organiser_id), str(ADMIN))
        assert not book.is_cancelled
        assert domain_event.timestamp < book.details.ends_at or isinstance(domain_event, EventCancelled)
        before = book.rules
        match domain_event:
            case EventDetailsChanged(details=details):
                assert details.ends_at > domain_event.timestamp
                assert details.starts_at == book.details.starts_at or details.starts_at > domain_event.timestamp
                book.details = details
            case SalesWindowChanged(sales_window=window):
                book.window = window
            case LimitsChanged(limits=limits):
                book.limits = limits
            case CapacityChanged(ticket_type_id=ticket_type_id, capacity=capacity):
                assert ticket_type_id in book.capacities
                book.capacities[ticket_type_id] = capacity
            case TicketTypeAdded(ticket_type=offer, place=place):
                assert offer.ticket_type_id not in book.offers
                assert offer.name not in {other.name for other in book.offers.values()}
                assert place == len(book.offers) + 1
                book.offers[offer.ticket_type_id] = offer
                book.capacities[offer.ticket_type_id] = offer.capacity
            case PriceChanged(ticket_type_id=ticket_type_id, amount_minor=amount_minor):
                book.offers[ticket_type_id] = replace(book.offers[ticket_type_id], amount_minor=amount_minor)
            case TicketsWithheld(ticket_type_id=ticket_type_id, quantity=quantity):
                book.withheld[ticket_type_id] += quantity
            case TicketsReturned(ticket_type_id=ticket_type_id, quantity=quantity):
                book.withheld[ticket_type_id] -= quantity
            case EventCancelled():
                book.is_cancelled = True
            case _:
                raise AssertionError(domain_event)
        assert book.rules != before
        book.edition = domain_event.originator_version

    def _hold(self, held: TicketsHeld) -> None:
        book, at = self.events[held.originator_id], held.timestamp
        assert held.actor_id == str(held.buyer_id)
        assert held.quantity >= 1
        assert book.is_on_sale(at)
        assert held.hold_expires_at == at + timedelta(seconds=book.limits.hold_seconds)
        assert held.reservation_id not in self.claims
        has = sum(claim.held.quantity for claim in self.claims_of(held.originator_id, buyer_id=held.buyer_id))
        assert has + held.quantity <= book.limits.max_per_buyer
        self.claims[held.reservation_id] = Claim(held.originator_id, held, ["held"])

    def _extend(self, extended: HoldExtended) -> None:
        claim, book = self._claim(extended), self.events[extended.originator_id]
        assert extended.actor_id == str(extended.buyer_id)
        assert not book.is_cancelled
        assert (claim.state, claim.extended_by_event) == ("held", None)
        assert extended.timestamp < claim.hold_expires_at < extended.hold_expires_at
        seconds = (extended.hold_expires_at - claim.hold_expires_at).total_seconds()
        assert seconds == book.limits.hold_extension_seconds
        claim.extended_by_event = extended.hold_expires_at

    def _sell(self, sold: TicketsSold) -> None:
        claim = self._claim(sold)
        assert sold.actor_id == str(sold.buyer_id)
        assert not self.events[sold.originator_id].is_cancelled
        assert sold.timestamp < claim.hold_expires_at
        assert (sold.amount_minor, sold.currency) == (claim.amount_minor, claim.currency)
        claim.by_event.append("sold")

    def _reduce(self, reduced: TicketsReduced) -> None:
        """What is held is less from then on, in the claim as well."""
        claim, book = self.claims[reduced.reservation_id], self.events[reduced.originator_id]
        held, left = claim.held, reduced.quantity_left
        assert (reduced.buyer_id, reduced.ticket_type_id) == (held.buyer_id, held.ticket_type_id)
        assert reduced.actor_id == str(held.buyer_id)
        assert (reduced.quantity + left, reduced.was) == (held.quantity, claim.state)
        assert min(reduced.quantity, left) >= 1
        assert reduced.timestamp < (book.details.ends_at if reduced.was == "sold" else claim.hold_expires_at)
        price_minor = claim.amount_minor // held.quantity
        assert reduced.refund_due_minor == (price_minor * reduced.quantity if reduced.was == "sold" else 0)
        claim.held, claim.amount_minor = replace(held, quantity=left), price_minor * left
        claim.parts += 1

    def _release(self, released: TicketsReleased) -> None:
        claim, book = self._claim(released), self.events[released.originator_id]
        assert released.was == claim.state
        refund_due_minor = claim.amount_minor if released.was == "sold" else 0
        assert (released.refund_due_minor, released.currency) == (refund_due_minor, claim.currency)
        assert released.actor_id in self._who_may_end(released.reason, claim, book)
        match released.reason, released.was:
            case "expired", was:
                assert was == "held"
                assert released.timestamp >= claim.hold_expires_at
            case "event-cancelled", _:
                assert book.is_cancelled
            case "buyer" | "organiser", "held":
                assert released.timestamp < claim.hold_expires_at
            case "buyer", "sold":
                assert released.timestamp < book.details.ends_at
        claim.by_event.append(released.reason)

    @staticmethod
    def _who_may_end(reason: str, claim: Claim, book: EventBook) -> tuple[str, ...]:
        by_whom = {"buyer": (str(claim.held.buyer_id),), "organiser": (str(book.created.organiser_id), str(ADMIN))}
        return by_whom.get(reason, (SYSTEM,))

    def _claim(self, step: HoldExtended | TicketsSold | TicketsReleased) -> Claim:
        claim = self.claims[step.reservation_id]
        assert claim.event_id == step.originator_id
        for name in ("buyer_id", "ticket_type_id", "quantity"):
            assert getattr(step, name) == getattr(claim.held, name)
        return claim

    def _follow(self, step: OfReservation) -> None:
        claim = self.claims[step.originator_id]
        assert step.event_id == claim.event_id
        match step:
            case ReservationPlaced():
                offer = self.events[claim.event_id].offers[step.ticket_type_id]
                claim.amount_minor, claim.currency = offer.amount_minor * step.quantity, offer.currency
                assert (step.amount_minor, step.currency) == (claim.amount_minor, claim.currency)
                for name in ("buyer_id", "ticket_type_id", "quantity", "hold_expires_at", "timestamp", "actor_id"):
                    assert getattr(step, name) == getattr(claim.held, name)
                claim.by_reservation.append("held")
            case ReservationReduced():
                assert (step.quantity, step.amount_minor) == (claim.held.quantity, claim.amount_minor)
                claim.parts -= 1
            case ReservationExtended():
                claim.extended_by_reservation = step.hold_expires_at
            case ReservationPaid():
                assert (step.amount_minor, step.currency) == (claim.amount_minor, claim.currency)
                claim.by_reservation.append("sold")
            case ReservationExpired():
                claim.by_reservation.append("expired")
            case ReservationCancelled():
                refund_due_minor = claim.amount_minor if "sold" in claim.by_reservation else 0
                assert (step.refund_due_minor, step.currency) == (refund_due_minor, claim.currency)
                claim.by_reservation.append(step.reason)
        assert step.actor_id == self.streams[claim.event_id][-1].actor_id


def check_times(book: EventBook) -> None:
    """The start is before the end; sales open before they close, and close by the end."""
    assert book.details.starts_at < book.details.ends_at
    opens_at, closes_at = book.window.sales_open_at, book.window.sales_close_at
    assert closes_at is None or closes_at <= book.details.ends_at
    assert opens_at is None or opens_at < (closes_at or book.details.ends_at)
