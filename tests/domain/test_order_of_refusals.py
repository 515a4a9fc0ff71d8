"""Where several refusals apply at once, which one is the answer: the order is part of the interface."""

from itertools import combinations
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.commands import CancelReservation, PayReservation
from domain.errors import (
    EventEnded,
    EventIsCancelled,
    EventNotFound,
    HoldExpired,
    IdempotencyKeyReused,
    LimitPerBuyer,
    NotPayable,
    NotTheOrganiser,
    Refusal,
    ReservationNotFound,
    SalesClosed,
    SalesNotOpen,
    SoldOut,
    TicketTypeNotFound,
    TicketTypeRequired,
)
from tests.domain.builders import (
    ANN,
    BOB,
    END,
    HOLD_OVER,
    LATER_REQUEST,
    NOON,
    SEATED,
    STANDING,
    UNKNOWN_TYPE_ID,
    YESTERDAY,
    after,
    cancel_event,
    change,
    created,
    event_cancelled,
    key,
)
from tests.domain.given_when_then import Step, given
from tests.domain.purchase import ANNS, BOBS, Purchase

RESERVING: dict[str, type[Refusal]] = {
    "the key was used for another request": IdempotencyKeyReused,
    "no event": EventNotFound,
    "no type named": TicketTypeRequired,
    "unknown type": TicketTypeNotFound,
    "event cancelled": EventIsCancelled,
    "event ended": EventEnded,
    "sales not open": SalesNotOpen,
    "sales closed": SalesClosed,
    "over the limit": LimitPerBuyer,
    "sold out": SoldOut,
}
NEVER_TOGETHER = [
    {"no type named", "unknown type"},
    # All further reasons are read from the event.
    *({"no event", reason} for reason in list(RESERVING)[2:]),
]
TOGETHER = [pair for pair in combinations(RESERVING, 2) if set(pair) not in NEVER_TOGETHER]


def reserve_when(reasons: set[str]) -> Refusal:
    """The refusal of a reservation that each of the reasons stands against."""
    ends: dict[str, Any] = {"starts_at": YESTERDAY, "ends_at": NOON} if "event ended" in reasons else {}
    event = created(
        ticket_types=(STANDING, SEATED),
        capacity=0 if "sold out" in reasons else 10,
        max_per_buyer=0 if "over the limit" in reasons else 4,
        sales_open_at=after(days=1) if "sales not open" in reasons else None,
        sales_close_at=NOON if "sales closed" in reasons else None,
        **ends,
    )
    steps: list[Step] = [event]
    command = ANNS.reserve(request_id=LATER_REQUEST, idempotency=key("anns", "this body"))
    if "event cancelled" in reasons:
        steps.append(event_cancelled())
    if "the key was used for another request" in reasons:
        steps.append(ANNS.reserved(idempotency=key("anns", "another body")))
    if "no event" in reasons:
        command = replace(command, event_id=UUID(int=0xE9))
    if "no type named" in reasons:
        command = replace(command, ticket_type_id=None)
    if "unknown type" in reasons:
        command = replace(command, ticket_type_id=UNKNOWN_TYPE_ID)
    outcome = given(*steps).when(command).outcome
    assert isinstance(outcome, Refusal)
    return outcome


@pytest.mark.parametrize("reason", RESERVING)
def test_each_reason_against_a_reservation_refuses_it(reason: str) -> None:
    assert type(reserve_when({reason})) is RESERVING[reason]


@pytest.mark.parametrize(("first", "second"), TOGETHER)
def test_of_two_reasons_against_a_reservation_the_earlier_is_told(first: str, second: str) -> None:
    assert type(reserve_when({first, second})) is RESERVING[first]


def paid(reference: str | None = None, **changes: Any) -> PayReservation:
    return ANNS.pay(reference, request_id=LATER_REQUEST, **changes)


PAYING: list[tuple[list[Step], PayReservation, Any, Refusal | None]] = [
    # Another body under the key comes before what the reservation is.
    ([ANNS.paid(reference="a", idempotency=key("k", "a"))], paid("b", idempotency=key("k", "b")), NOON,
     IdempotencyKeyReused()),
    # Whose it is comes before how it stands.
    ([], paid(by=BOB), HOLD_OVER, ReservationNotFound()),
    ([ANNS.paid()], paid("b", by=BOB), NOON, ReservationNotFound()),
    ([event_cancelled()], paid(by=BOB), NOON, ReservationNotFound()),
    # The same reference comes before the deadline, the event's end and its cancellation.
    ([ANNS.paid()], paid(), HOLD_OVER, None),
    ([ANNS.paid()], paid(), END, None),
    ([ANNS.paid(), event_cancelled()], paid(), HOLD_OVER, None),
    # How it stands comes before the deadline and the cancellation of the event.
    ([ANNS.paid()], paid("b"), HOLD_OVER, NotPayable("paid")),
    ([ANNS.paid(), event_cancelled()], paid("b"), NOON, NotPayable("paid")),
    ([ANNS.cancelled()], paid(), HOLD_OVER, NotPayable("cancelled")),
    ([event_cancelled(), ANNS.withdrawn()], paid(), HOLD_OVER, NotPayable("cancelled")),
    ([ANNS.paid(), ANNS.cancelled(refund_due_minor=2500)], paid(), HOLD_OVER, NotPayable("cancelled")),
    # The deadline, recorded or not, comes before the cancellation of the event.
    ([event_cancelled()], paid(), HOLD_OVER, HoldExpired(HOLD_OVER)),
    ([event_cancelled(), ANNS.expired()], paid(), HOLD_OVER, HoldExpired(HOLD_OVER)),
    ([event_cancelled()], paid(), NOON, EventIsCancelled()),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "command", "at", "refusal"), PAYING)
def test_the_order_of_answers_to_a_payment(
    steps: list[Step], command: PayReservation, at: Any, refusal: Refusal | None
) -> None:
    result = given(created(), ANNS.reserved(), *steps).when(command, at=at)
    if refusal:
        result.then_refused(refusal)
    else:
        result.then_nothing_new()


def cancelled(**changes: Any) -> CancelReservation:
    return ANNS.cancel(request_id=LATER_REQUEST, **changes)


LATE = Purchase(ANNS.reservation_id, ANN, held_at=after(hours=11, seconds=-60))
CANCELLING: list[tuple[list[Step], CancelReservation, Any, Refusal | None]] = [
    ([ANNS.reserved(), ANNS.cancelled(idempotency=key("k", "a"))], cancelled(idempotency=key("k", "b")), END,
     IdempotencyKeyReused()),
    ([ANNS.reserved()], cancelled(by=BOB), HOLD_OVER, ReservationNotFound()),
    ([ANNS.reserved(), ANNS.cancelled()], cancelled(by=BOB), NOON, ReservationNotFound()),
    ([ANNS.reserved(), ANNS.paid()], cancelled(by=BOB), END, ReservationNotFound()),
    # What is cancelled already is the same answer, whatever time it is.
    ([ANNS.reserved(), ANNS.cancelled()], cancelled(), HOLD_OVER, None),
    ([ANNS.reserved(), ANNS.paid(), ANNS.cancelled(refund_due_minor=2500)], cancelled(), END, None),
    # The deadline of a hold comes before the end of the event.
    ([LATE.reserved()], cancelled(), LATE.hold_expires_at, HoldExpired(LATE.hold_expires_at)),
    ([ANNS.reserved(), ANNS.expired()], cancelled(), END, HoldExpired(HOLD_OVER)),
    # The end of the event counts for paid tickets, also where the event was cancelled.
    ([ANNS.reserved(), ANNS.paid()], cancelled(), END, EventEnded()),
    ([ANNS.reserved(), ANNS.paid(), event_cancelled()], cancelled(), END, EventEnded()),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "command", "at", "refusal"), CANCELLING)
def test_the_order_of_answers_to_a_cancellation(
    steps: list[Step], command: CancelReservation, at: Any, refusal: Refusal | None
) -> None:
    result = given(created(), *steps).when(command, at=at)
    if refusal:
        result.then_refused(refusal)
    else:
        result.then_nothing_new()


def test_whose_event_it_is_comes_before_how_it_stands() -> None:
    for command in (change(by=BOB, city="Bruges"), cancel_event(by=BOB)):
        given(created()).when(command, at=END).then_refused(NotTheOrganiser())
        given(created(), event_cancelled()).when(command).then_refused(NotTheOrganiser())


def test_a_cancelled_event_is_told_to_be_cancelled_also_after_its_end() -> None:
    scenario = given(created(), event_cancelled())
    scenario.when(change(city="Bruges"), at=END).then_refused(EventIsCancelled())
    scenario.when(cancel_event(), at=END).then_nothing_new()
    scenario.when(BOBS.reserve(), at=END).then_refused(EventIsCancelled())
