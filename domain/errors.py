"""Every business "no": a refusal's docstring is the sentence its user reads, with its facts filled in."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, dataclass_transform
from uuid import UUID


@dataclass_transform(eq_default=False)
class Refusal(Exception):
    """The request was refused. The fields of a subclass are its facts."""

    code: ClassVar[str]

    def __init_subclass__(cls) -> None:
        dataclass(eq=False)(cls)

    @property
    def facts(self) -> dict[str, Any]:
        """What a program needs next, by name."""
        return vars(self)

    @property
    def sentence(self) -> str:
        """What its user reads, with a place for each fact that is told."""
        return type(self).__doc__ or ""

    def __str__(self) -> str:
        facts = {name: spoken(fact) if isinstance(fact, datetime) else fact for name, fact in self.facts.items()}
        return " ".join(self.sentence.split()).format(**facts)


def spoken(instant: datetime) -> str:
    """RFC 3339 in UTC with `Z`, as every answer and every sentence tells an instant."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


class EventNotFound(Refusal):
    """There is no event with this id. Look it up again in the list of events."""

    code = "event-not-found"


class ReservationNotFound(Refusal):
    """You have no reservation with this id. Look it up again in the list of your reservations."""

    code = "not-found"


class TicketTypeRequired(Refusal):
    """This event has several ticket types. Say which one you mean by its ticket_type_id."""

    code = "ticket-type-required"


class TicketTypeNotFound(Refusal):
    """This event has no such ticket type. Read the event again for its ticket types."""

    code = "ticket-type-not-found"


class EventIsCancelled(Refusal):
    """This event was cancelled. Nothing can be reserved, paid or changed any more."""

    code = "event-cancelled"


class EventEnded(Refusal):
    """This event is over. Nothing can be changed any more."""

    code = "event-ended"


class SalesNotOpen(Refusal):
    """Sales of this event have not begun. Try again at {sales_open_at}."""

    code = "sales-not-open"
    sales_open_at: datetime


class SalesClosed(Refusal):
    """Sales of this event are over. No more tickets can be reserved."""

    code = "sales-closed"


class LimitPerBuyer(Refusal):
    """One buyer may have {limit} of this event's tickets and you have {held}. Cancel a reservation or ask for fewer."""

    code = "limit-per-buyer"
    limit: int
    held: int
    reservation_id: UUID | None


class SoldOut(Refusal):
    """Too few tickets of this type are left: {available}. Ask for fewer, or try later: some may be given back."""

    code = "sold-out"
    available: int
    next_hold_ends_at: datetime | None = None

    @property
    def sentence(self) -> str:
        """Names the instant, too, while there are holds whose end may give the tickets."""
        if self.next_hold_ends_at is None:
            return super().sentence
        return (
            "Too few tickets of this type are left: {available}. Ask for fewer, or try again at {next_hold_ends_at}: "
            "what is held until then is for sale from that instant on, unless it was paid."
        )


class HoldExpired(Refusal):
    """The time to pay for this reservation ended at {hold_expires_at}. Reserve again."""

    code = "hold-expired"
    hold_expires_at: datetime


class ExtensionNotOffered(Refusal):
    """The organiser of this event offers no more time to pay. Pay before {hold_expires_at}."""

    code = "extension-not-offered"
    hold_expires_at: datetime


class NotExtendable(Refusal):
    """This reservation is {reservation_status} already and needs no more time. Read it again to see how it stands."""

    code = "not-extendable"
    reservation_status: str


class MoreThanReserved(Refusal):
    """This reservation has {quantity} tickets. Give back at most so many, or leave the quantity out for all of them."""

    code = "more-than-reserved"
    quantity: int


class TooManyParts(Refusal):
    """Parts of this reservation were given back {limit} times, and no more often. Give back all of it, or none."""

    code = "too-many-parts"
    limit: int


class NotPayable(Refusal):
    """This reservation is {reservation_status} already and can't be paid. Read it again to see how it stands."""

    code = "not-payable"
    reservation_status: str


class NotTheOrganiser(Refusal):
    """Only the organiser of this event may change it."""

    code = "forbidden"


class ChangedMeanwhile(Refusal):
    """If-Match names another edition than the event has, which is {edition}. Read it again, then decide anew."""

    code = "changed-meanwhile"
    edition: int


class EventExists(Refusal):
    """You have an event with this title and start already. Change that one, or choose another title or start."""

    code = "event-exists"
    event_id: UUID


class CapacityBelowTaken(Refusal):
    """The capacity can't go below the {taken} tickets that are reserved, paid or withheld. Choose at least as many."""

    code = "capacity-below-taken"
    ticket_type_id: UUID
    taken: int


class TooFewToWithhold(Refusal):
    """Only {available} tickets of this type are left. Withhold at most as many."""

    code = "too-few-to-withhold"
    ticket_type_id: UUID
    available: int
    next_hold_ends_at: datetime | None = None

    @property
    def sentence(self) -> str:
        """Names the instant, too, while there are holds whose end may give the tickets."""
        if self.next_hold_ends_at is None:
            return super().sentence
        return (
            "Only {available} tickets of this type are left. Withhold at most as many, or try again at "
            "{next_hold_ends_at}: what is held until then is left from that instant on, unless it was paid."
        )


class TooFewWithheld(Refusal):
    """Only {withheld} tickets of this type are withheld. Return at most as many."""

    code = "too-few-withheld"
    ticket_type_id: UUID
    withheld: int


class InvalidRequest(Refusal):
    """The request does not fit the event: {field} {problem}."""

    code = "invalid-request"
    field: str
    problem: str


class IdempotencyKeyReused(Refusal):
    """This Idempotency-Key was used for another request. Send a new key with a new request."""

    code = "idempotency-key-reused"


class AccountClosed(Refusal):
    """This account does not exist any more. Log in with another one."""

    code = "not-authenticated"
