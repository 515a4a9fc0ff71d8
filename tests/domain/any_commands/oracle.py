"""What the box office has to answer, worked out the plain way from the books: by scanning, with no state of its own."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from domain import errors
from domain.commands import (
    AddTicketType,
    CancelEvent,
    CancelReservation,
    ChangeEvent,
    Command,
    CreateEvent,
    ExpireReservation,
    ExtendReservation,
    OrganiserCommand,
    PayReservation,
    ReservationCommand,
    ReserveTickets,
    ReturnTickets,
    RevokeReservation,
    WithdrawReservation,
    WithholdTickets,
)
from domain.domain_event import DomainEvent
from domain.errors import Refusal
from domain.event_facts import EventDetails, SalesWindow
from domain.reservation import ReservationPaid
from tests.domain.any_commands.bookkeeping import Books, Claim, EventBook

CANCELLED = ("buyer", "organiser", "event-cancelled")
Expected = Refusal | str | None
"""A refusal, the step that is recorded, or None where nothing is to be recorded."""


def expected(books: Books, command: Command, at: datetime) -> Expected:
    """The answer to any command but those of an organiser's desk that have several objections at once."""
    if is_at_another_event(books, command):
        return errors.ReservationNotFound()
    if isinstance(command, WithholdTickets | ReturnTickets | AddTicketType):
        return expected_of_stock(books, command, at)
    if earlier := earlier_work(books, command):
        same = is_same_request(earlier, command) or earlier.idempotency == command.idempotency
        return None if same else errors.IdempotencyKeyReused()
    match command:
        case ReserveTickets():
            return expected_of_reserving(books, command, at)
        case CancelEvent():
            return expected_of_cancelling_the_event(books, command)
        case CreateEvent() | ChangeEvent():
            raise AssertionError("see `objections`")
    claim = books.claims.get(command.reservation_id)
    if claim is None:
        return errors.ReservationNotFound()
    is_due, book = at >= claim.hold_expires_at, books.events[claim.event_id]
    if isinstance(command, RevokeReservation):
        return expected_of_revoking(command, claim, book, is_due)
    if command.actor and command.actor.account_id != claim.held.buyer_id:
        return errors.ReservationNotFound()
    match command:
        case ExtendReservation():
            return expected_of_extending(books, claim, at, is_due)
        case PayReservation():
            return expected_of_paying(books, command, claim, is_due)
        case CancelReservation():
            return expected_of_cancelling(command, claim, book, at, is_due)
        case ExpireReservation():
            return "expired" if claim.state == "held" and is_due else None
        case WithdrawReservation():
            if claim.state == "held" and is_due:
                return "expired"
            return "event-cancelled" if claim.has_tickets and book.is_cancelled else None


def is_at_another_event(books: Books, command: Command) -> bool:
    """Whoever sends a command about a reservation looks up its event first, so this is no matter of rules."""
    if not isinstance(command, ReservationCommand) or isinstance(command, ReserveTickets):
        return False
    claim = books.claims.get(command.reservation_id)
    return claim is not None and claim.event_id != command.event_id


def earlier_work(books: Books, command: Command) -> DomainEvent | None:
    """What an earlier arrival of this command, or another with its key, has recorded."""
    if isinstance(command, ExpireReservation | WithdrawReservation):
        return None
    for domain_event in books.history:
        if is_same_request(domain_event, command):
            return domain_event
        mine, theirs = command.idempotency, domain_event.idempotency
        if mine and theirs and mine.key_sha256 == theirs.key_sha256:
            return domain_event
    return None


def is_same_request(domain_event: DomainEvent, command: Command) -> bool:
    return domain_event.request_id == command.request_id


def expected_of_reserving(books: Books, command: ReserveTickets, at: datetime) -> Expected:
    book, buyer_id, type_id = books.events.get(command.event_id), command.actor.account_id, command.ticket_type_id
    if book is None:
        return errors.EventNotFound()
    if type_id is None and len(book.capacities) > 1:
        return errors.TicketTypeRequired()
    type_id = type_id or next(iter(book.capacities))
    if type_id not in book.capacities:
        return errors.TicketTypeNotFound()
    if refusal := refusal_of_selling(book, at):
        return refusal
    kept = [c for c in books.claims_of(command.event_id) if c.state == "sold" or at < c.hold_expires_at]
    buyers = sum(c.held.quantity for c in kept if c.held.buyer_id == buyer_id)
    available = left_of_type(book, kept, type_id)
    if buyers + command.quantity > book.limits.max_per_buyer:
        return errors.LimitPerBuyer(book.limits.max_per_buyer, buyers, None)
    if available < command.quantity:
        return errors.SoldOut(available, when_enough_may_come_back(kept, type_id, command.quantity - available))
    return "held"


def when_enough_may_come_back(kept: list[Claim], type_id: UUID, too_few: int) -> datetime | None:
    """The first end of the type's holds, where these have as many tickets as are too few."""
    held = [c for c in kept if c.state == "held" and c.held.ticket_type_id == type_id]
    is_enough_held = sum(c.held.quantity for c in held) >= too_few
    return min((c.hold_expires_at for c in held if is_enough_held), default=None)


def is_each_hold_needed(books: Books, command: ReserveTickets, taken_back: list[UUID]) -> bool:
    """Whether there would be too little room, within the limit or in stock, without the hold taken back last."""
    book, kept = books.events[command.event_id], books.claims_of(command.event_id)
    kept = [c for c in kept if c.held.reservation_id not in taken_back[:-1]]
    type_id = command.ticket_type_id or next(iter(book.capacities))
    buyers = sum(c.held.quantity for c in kept if c.held.buyer_id == command.actor.account_id)
    available = left_of_type(book, kept, type_id)
    return buyers + command.quantity > book.limits.max_per_buyer or available < command.quantity


def left_of_type(book: EventBook, kept: list[Claim], type_id: UUID) -> int:
    taken = sum(c.held.quantity for c in kept if c.held.ticket_type_id == type_id)
    return book.capacities[type_id] - book.withheld[type_id] - taken


def expected_of_stock(books: Books, command: WithholdTickets | ReturnTickets | AddTicketType, at: datetime) -> Expected:
    """A type is added, or tickets are moved out of sale or back to it."""
    book = books.events.get(command.event_id)
    if book is None:
        return errors.EventNotFound()
    if command.actor.account_id != book.created.organiser_id and not command.actor.is_admin:
        return errors.NotTheOrganiser()
    if earlier := earlier_work(books, command):
        same = is_same_request(earlier, command) or earlier.idempotency == command.idempotency
        return None if same else errors.IdempotencyKeyReused()
    if is_of_another_edition(book, command):
        return errors.ChangedMeanwhile(book.edition)
    if book.is_cancelled:
        return errors.EventIsCancelled()
    if at >= book.details.ends_at:
        return errors.EventEnded()
    if isinstance(command, AddTicketType):
        is_taken = command.ticket_type.name.casefold() in {offer.name.casefold() for offer in book.offers.values()}
        problem = "must not be that of another ticket type, nor look the same"
        return errors.InvalidRequest("name", problem) if is_taken else "added"
    return expected_of_moving(books, book, command, at)


def expected_of_moving(
    books: Books, book: EventBook, command: WithholdTickets | ReturnTickets, at: datetime
) -> Expected:
    if command.ticket_type_id is None and len(book.capacities) > 1:
        return errors.TicketTypeRequired()
    type_id = command.ticket_type_id or next(iter(book.capacities))
    if type_id not in book.capacities:
        return errors.TicketTypeNotFound()
    if isinstance(command, ReturnTickets):
        too_few = command.quantity > book.withheld[type_id]
        return errors.TooFewWithheld(type_id, book.withheld[type_id]) if too_few else "returned"
    kept = [c for c in books.claims_of(command.event_id) if c.state == "sold" or at < c.hold_expires_at]
    left = left_of_type(book, kept, type_id)
    if command.quantity > left:
        ends_at = when_enough_may_come_back(kept, type_id, command.quantity - left)
        return errors.TooFewToWithhold(type_id, left, ends_at)
    return "withheld"


def refusal_of_selling(book: EventBook, at: datetime) -> Refusal | None:
    opens_at, closes_at = book.window.sales_open_at, book.window.sales_close_at
    if book.is_cancelled:
        return errors.EventIsCancelled()
    if at >= book.details.ends_at:
        return errors.EventEnded()
    if opens_at and at < opens_at:
        return errors.SalesNotOpen(opens_at)
    if closes_at and at >= closes_at:
        return errors.SalesClosed()
    return None


def expected_of_paying(books: Books, command: PayReservation, claim: Claim, is_due: bool) -> Expected:
    if claim.state == "sold":
        paid = next(e for e in books.streams[command.reservation_id] if isinstance(e, ReservationPaid))
        return None if paid.payment_reference == command.payment_reference else errors.NotPayable("paid")
    if claim.state in CANCELLED:
        return errors.NotPayable("cancelled")
    if claim.state == "expired" or is_due:
        return errors.HoldExpired(claim.hold_expires_at)
    return errors.EventIsCancelled() if books.events[claim.event_id].is_cancelled else "sold"


def expected_of_extending(books: Books, claim: Claim, at: datetime, is_due: bool) -> Expected:
    book = books.events[claim.event_id]
    if claim.state not in ("held", "expired"):
        return errors.NotExtendable("paid" if claim.state == "sold" else "cancelled")
    if claim.state == "expired" or is_due:
        return errors.HoldExpired(claim.hold_expires_at)
    if book.is_cancelled:
        return errors.EventIsCancelled()
    if claim.extended_by_event:
        return None
    if at >= book.details.ends_at:
        return errors.EventEnded()
    return "extended" if book.limits.hold_extension_seconds else errors.ExtensionNotOffered(claim.hold_expires_at)


def expected_of_cancelling(
    command: CancelReservation, claim: Claim, book: EventBook, at: datetime, is_due: bool
) -> Expected:
    if claim.state in CANCELLED:
        return None
    if claim.state == "expired" or (claim.state == "held" and is_due):
        return errors.HoldExpired(claim.hold_expires_at)
    if claim.state == "sold" and at >= book.details.ends_at:
        return errors.EventEnded()
    if command.quantity is not None and command.quantity > claim.held.quantity:
        return errors.MoreThanReserved(claim.held.quantity)
    return "cancelled"


def expected_of_revoking(command: RevokeReservation, claim: Claim, book: EventBook, is_due: bool) -> Expected:
    if command.actor.account_id != book.created.organiser_id and not command.actor.is_admin:
        return errors.NotTheOrganiser()
    if claim.state in CANCELLED:
        return None
    if claim.state == "expired" or (claim.state == "held" and is_due):
        return errors.HoldExpired(claim.hold_expires_at)
    return "cancelled"


def expected_of_cancelling_the_event(books: Books, command: CancelEvent) -> Expected:
    book = books.events.get(command.event_id)
    if book is None:
        return errors.EventNotFound()
    if command.actor.account_id != book.created.organiser_id and not command.actor.is_admin:
        return errors.NotTheOrganiser()
    if is_of_another_edition(book, command):
        return errors.ChangedMeanwhile(book.edition)
    return None if book.is_cancelled else "event cancelled"


def is_of_another_edition(book: EventBook, command: OrganiserCommand) -> bool:
    return command.editions is not None and book.edition not in command.editions


def objections(books: Books, command: CreateEvent | ChangeEvent, at: datetime, is_name_taken: bool) -> set[str]:
    """The codes of all refusals that apply to an organiser's request; it is refused with one of them, or accepted."""
    codes = {"event-exists"} if is_name_taken else set()
    if earlier_work(books, command):
        return set() if expected(books, command, at) is None else {"idempotency-key-reused"}
    if isinstance(command, CreateEvent):
        if not times_fit(command.details, command.sales_window) or command.details.starts_at <= at:
            codes.add("invalid-request")
        return codes
    book = books.events.get(command.event_id)
    if book is None:
        return {"event-not-found"}
    if command.actor.account_id != book.created.organiser_id and not command.actor.is_admin:
        codes.add("forbidden")
    if is_of_another_edition(book, command):
        codes.add("changed-meanwhile")
    if book.is_cancelled:
        codes.add("event-cancelled")
    if at >= book.details.ends_at:
        codes.add("event-ended")
    codes |= objections_to_prices(book, command)
    return codes | objections_to_times(book, command, at) | objections_to_capacities(books, book, command, at)


def objections_to_times(book: EventBook, command: ChangeEvent, at: datetime) -> set[str]:
    starts_at, ends_at = (
        given_or(command.starts_at, book.details.starts_at),
        given_or(command.ends_at, book.details.ends_at),
    )
    window = SalesWindow(
        sales_open_at=given_or(command.sales_open_at, book.window.sales_open_at),
        sales_close_at=given_or(command.sales_close_at, book.window.sales_close_at),
    )
    fits = times_fit(replace(book.details, starts_at=starts_at, ends_at=ends_at), window)
    moved_back = (starts_at != book.details.starts_at and starts_at <= at) or ends_at <= at
    return set() if fits and not moved_back else {"invalid-request"}


def objections_to_prices(book: EventBook, command: ChangeEvent) -> set[str]:
    return set() if command.prices.keys() <= book.offers.keys() else {"ticket-type-not-found"}


def objections_to_capacities(books: Books, book: EventBook, command: ChangeEvent, at: datetime) -> set[str]:
    asked = command.capacities
    if not isinstance(command.total_tickets, UnsetType):
        if len(book.capacities) > 1:
            return {"ticket-type-required"}
        asked = dict.fromkeys(book.capacities, command.total_tickets)
    if not asked.keys() <= book.capacities.keys():
        return {"ticket-type-not-found"}
    for type_id, capacity in asked.items():
        claims = books.claims_of(command.event_id, type_id=type_id)
        kept = [c for c in claims if c.state == "sold" or at < c.hold_expires_at]
        if sum(c.held.quantity for c in kept) + book.withheld[type_id] > capacity:
            return {"capacity-below-taken"}
    return set()


def given_or(asked: Any, otherwise: Any) -> Any:
    return otherwise if asked is UNSET else asked


def times_fit(details: EventDetails, window: SalesWindow) -> bool:
    closes_at = window.sales_close_at or details.ends_at
    opens_at = window.sales_open_at or datetime.min.replace(tzinfo=closes_at.tzinfo)
    return details.starts_at < details.ends_at and opens_at < closes_at <= details.ends_at
