"""Every business "no": a refusal's docstring is the sentence its user reads, with its facts filled in."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID


class Refusal(Exception):
    """The request was refused."""

    code: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(self.detail)

    @property
    def facts(self) -> dict[str, Any]:
        """What a program needs next, by name."""
        return vars(self)

    @property
    def detail(self) -> str:
        facts = {name: spoken(fact) if isinstance(fact, datetime) else fact for name, fact in self.facts.items()}
        return " ".join((type(self).__doc__ or "").split()).format(**facts)


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

    def __init__(self, sales_open_at: datetime) -> None:
        self.sales_open_at = sales_open_at
        super().__init__()


class SalesClosed(Refusal):
    """Sales of this event are over. No more tickets can be reserved."""

    code = "sales-closed"


class LimitPerBuyer(Refusal):
    """One buyer may have {limit} of this event's tickets and you have {held}. Cancel a reservation or ask for fewer."""

    code = "limit-per-buyer"

    def __init__(self, limit: int, held: int, reservation_id: UUID | None) -> None:
        self.limit = limit
        self.held = held
        self.reservation_id = reservation_id
        super().__init__()


class SoldOut(Refusal):
    """Too few tickets of this type are left: {available}. Ask for fewer, or try later: unpaid reservations run out."""

    code = "sold-out"

    def __init__(self, available: int) -> None:
        self.available = available
        super().__init__()


class HoldExpired(Refusal):
    """The time to pay for this reservation ended at {hold_expires_at}. Reserve again."""

    code = "hold-expired"

    def __init__(self, hold_expires_at: datetime) -> None:
        self.hold_expires_at = hold_expires_at
        super().__init__()


class NotPayable(Refusal):
    """This reservation is {reservation_status} already and can't be paid. Read it again to see how it stands."""

    code = "not-payable"

    def __init__(self, reservation_status: str) -> None:
        self.reservation_status = reservation_status
        super().__init__()


class NotTheOrganiser(Refusal):
    """Only the organiser of this event may change it."""

    code = "forbidden"


class EventExists(Refusal):
    """You have an event with this title and start already. Change that one, or choose another title or start."""

    code = "event-exists"

    def __init__(self, event_id: UUID) -> None:
        self.event_id = event_id
        super().__init__()


class CapacityBelowTaken(Refusal):
    """The capacity can't go below the {taken} tickets that are reserved or paid. Choose at least that many."""

    code = "capacity-below-taken"

    def __init__(self, ticket_type_id: UUID, taken: int) -> None:
        self.ticket_type_id = ticket_type_id
        self.taken = taken
        super().__init__()


class InvalidRequest(Refusal):
    """The request does not fit the event: {field} {problem}."""

    code = "invalid-request"

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__()


class IdempotencyKeyReused(Refusal):
    """This Idempotency-Key was used for another request. Send a new key with a new request."""

    code = "idempotency-key-reused"


class AccountClosed(Refusal):
    """This account does not exist any more. Log in with another one."""

    code = "not-authenticated"
