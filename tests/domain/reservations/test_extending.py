"""A buyer gets more time to pay: once for each hold, while it lasts, and where the organiser offers it."""

from datetime import timedelta
from typing import Any

import pytest

from domain.commands import ExtendReservation
from domain.errors import (
    EventEnded,
    EventIsCancelled,
    ExtensionNotOffered,
    HoldExpired,
    IdempotencyKeyReused,
    NotExtendable,
    Refusal,
    ReservationNotFound,
    SoldOut,
)
from tests.domain.builders import (
    ADMIN,
    BOB,
    CONCERT,
    HOLD_OVER,
    INSTANT,
    LATER_REQUEST,
    NOON,
    ORGANISER,
    after,
    created,
    event_cancelled,
    key,
    limits_changed,
)
from tests.domain.given_when_then import Step, given
from tests.domain.purchase import ANNS, BOBS

OFFERED = created(capacity=1, hold_extension_seconds=60)
SOON = after(seconds=30)
OVER_SOON = created(capacity=1, hold_extension_seconds=60, starts_at=NOON, ends_at=SOON)
LONGER = HOLD_OVER + timedelta(seconds=60)
EXTENDED = ANNS.extended(LONGER)


@pytest.mark.parametrize("at", [NOON, SOON, HOLD_OVER - INSTANT])
def test_the_time_is_counted_from_the_end_of_the_hold_whenever_it_is_asked_for(at: Any) -> None:
    given(OFFERED, ANNS.reserved()).when(ANNS.extend(), at=at).then(ANNS.extended(LONGER, at))


def test_the_key_is_recorded_with_the_extension() -> None:
    asked = ANNS.extend(idempotency=key("once"))
    given(OFFERED, ANNS.reserved()).when(asked).then(ANNS.extended(LONGER, idempotency=key("once")))


def test_it_can_be_paid_and_given_back_until_the_new_end() -> None:
    scenario, last = given(OFFERED, ANNS.reserved(), EXTENDED), LONGER - INSTANT
    scenario.when(ANNS.pay(), at=LONGER).then_refused(HoldExpired(LONGER))
    scenario.when(ANNS.cancel(), at=LONGER).then_refused(HoldExpired(LONGER))
    scenario.when(ANNS.pay(), at=last).then(ANNS.paid(last))
    given(OFFERED, ANNS.reserved(), EXTENDED).when(ANNS.cancel(), at=last).then(ANNS.cancelled(last))


def test_it_expires_at_the_new_end_and_not_before() -> None:
    scenario = given(OFFERED, ANNS.reserved(), EXTENDED)
    scenario.when(ANNS.expire(), at=LONGER - INSTANT).then_nothing_new()
    scenario.when(ANNS.expire(), at=LONGER).then(ANNS.expired(LONGER))


def test_its_tickets_are_for_sale_at_the_new_end_and_not_before() -> None:
    scenario, bobs = given(OFFERED, ANNS.reserved(), EXTENDED), BOBS._replace(held_at=LONGER)
    scenario.when(BOBS.reserve(), at=HOLD_OVER).then_refused(SoldOut(0, LONGER))
    scenario.when(bobs.reserve(), at=LONGER).then(ANNS.expired(LONGER), bobs.reserved())


def test_a_hold_of_a_cancelled_event_that_was_extended_is_withdrawn_or_runs_out() -> None:
    cancelled = [OFFERED, ANNS.reserved(), EXTENDED, event_cancelled()]
    given(*cancelled).when(ANNS.withdraw(), at=HOLD_OVER).then(ANNS.withdrawn(HOLD_OVER))
    given(*cancelled).when(ANNS.withdraw(), at=LONGER).then(ANNS.expired(LONGER))


def test_it_is_extended_once_and_asking_again_is_the_same_answer() -> None:
    scenario = given(OFFERED, ANNS.reserved(), EXTENDED)
    for at in (SOON, HOLD_OVER, LONGER - INSTANT):
        decision = scenario.when(ANNS.extend(request_id=LATER_REQUEST), at=at).then_nothing_new()
        assert decision.answer == scenario.aggregates[ANNS.reservation_id].record


def test_the_length_is_that_in_force_when_it_is_asked_for() -> None:
    scenario = given(created(), ANNS.reserved(), limits_changed(hold_extension_seconds=5))
    until = HOLD_OVER + timedelta(seconds=5)
    scenario = scenario.when(ANNS.extend()).then(ANNS.extended(until))
    scenario.record(scenario.numbered(limits_changed()))
    scenario.when(ANNS.expire(), at=HOLD_OVER).then_nothing_new()


def test_open_holds_are_kept_in_the_order_of_their_new_deadlines() -> None:
    event = given(created(), ANNS.reserved(), BOBS.reserved(), EXTENDED).event(CONCERT)
    assert event is not None
    (stock,) = event.stock.values()
    assert list(stock.deadlines) == [(HOLD_OVER, BOBS.reservation_id), (LONGER, ANNS.reservation_id)]
    assert event.holds[ANNS.reservation_id].reservation_version == 2
    assert (stock.held, event.tickets_of(ANNS.buyer)) == (2, 1)


def extend(**changes: Any) -> ExtendReservation:
    return ANNS.extend(request_id=LATER_REQUEST, **changes)


EXTENDING: list[tuple[list[Step], ExtendReservation, Any, Refusal | None]] = [
    ([OFFERED, ANNS.reserved(), ANNS.extended(LONGER, idempotency=key("k", "a"))], extend(idempotency=key("k", "b")),
     LONGER, IdempotencyKeyReused()),
    # Whose it is comes before how it stands.
    ([OFFERED, ANNS.reserved()], extend(by=BOB), HOLD_OVER, ReservationNotFound()),
    ([OFFERED, ANNS.reserved()], extend(by=ORGANISER), NOON, ReservationNotFound()),
    ([OFFERED, ANNS.reserved()], extend(by=ADMIN), NOON, ReservationNotFound()),
    ([OFFERED], extend(), NOON, ReservationNotFound()),
    # How it stands comes before the deadline, the event's cancellation, and what is offered.
    ([created(), ANNS.reserved(), ANNS.paid(), event_cancelled()], extend(), HOLD_OVER, NotExtendable("paid")),
    ([OFFERED, ANNS.reserved(), EXTENDED, ANNS.paid()], extend(), NOON, NotExtendable("paid")),
    ([OFFERED, ANNS.reserved(), ANNS.cancelled()], extend(), HOLD_OVER, NotExtendable("cancelled")),
    ([created(), event_cancelled(), ANNS.reserved()], extend(), HOLD_OVER, HoldExpired(HOLD_OVER)),
    ([OFFERED, ANNS.reserved(), EXTENDED], extend(), LONGER, HoldExpired(LONGER)),
    ([OFFERED, ANNS.reserved(), ANNS.expired()], extend(), HOLD_OVER, HoldExpired(HOLD_OVER)),
    ([created(), ANNS.reserved(), event_cancelled()], extend(), NOON, EventIsCancelled()),
    # What is extended already stays so, whatever is offered now.
    ([OFFERED, ANNS.reserved(), EXTENDED, limits_changed()], extend(), NOON, None),
    ([OVER_SOON, ANNS.reserved(), EXTENDED], extend(), SOON, None),
    # Whoever had more time and paid could not give the tickets back any more.
    ([OVER_SOON, ANNS.reserved()], extend(), SOON, EventEnded()),
    ([created(), ANNS.reserved()], extend(), NOON, ExtensionNotOffered(HOLD_OVER)),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "command", "at", "refusal"), EXTENDING)
def test_the_order_of_answers_to_an_extension(
    steps: list[Step], command: ExtendReservation, at: Any, refusal: Refusal | None
) -> None:
    result = given(*steps).when(command, at=at)
    if refusal:
        result.then_refused(refusal)
    else:
        result.then_nothing_new()
