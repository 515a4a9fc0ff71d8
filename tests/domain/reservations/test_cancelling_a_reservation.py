"""A buyer gives tickets back: a hold until it runs out, paid tickets until the event ends."""

import pytest

from domain.errors import EventEnded, HoldExpired, ReservationNotFound
from tests.domain.builders import ADMIN, BOB, END, HOLD_OVER, INSTANT, ORGANISER, after, created, event_cancelled, key
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS

SOON = after(seconds=30)


def test_held_tickets_are_given_back_with_nothing_to_refund() -> None:
    given(created(), ANNS.reserved()).when(ANNS.cancel(), at=SOON).then(ANNS.cancelled(SOON))


def test_paid_tickets_are_given_back_with_their_price_to_refund() -> None:
    anns = ANNS._replace(quantity=2)
    scenario = given(created(), anns.reserved(), anns.paid())
    scenario.when(anns.cancel(), at=SOON).then(anns.cancelled(SOON, refund_due_minor=5000))


def test_the_key_is_recorded_with_the_cancellation() -> None:
    asked = ANNS.cancel(idempotency=key("once"))
    given(created(), ANNS.reserved()).when(asked, at=SOON).then(ANNS.cancelled(SOON, idempotency=key("once")))


def test_a_hold_can_be_cancelled_until_its_deadline() -> None:
    just_before = HOLD_OVER - INSTANT
    given(created(), ANNS.reserved()).when(ANNS.cancel(), at=just_before).then(ANNS.cancelled(just_before))
    given(created(), ANNS.reserved()).when(ANNS.cancel(), at=HOLD_OVER).then_refused(HoldExpired(HOLD_OVER))


def test_an_expired_reservation_cannot_be_cancelled() -> None:
    scenario = given(created(), ANNS.reserved(), ANNS.expired())
    scenario.when(ANNS.cancel(), at=HOLD_OVER).then_refused(HoldExpired(HOLD_OVER))


def test_paid_tickets_can_be_cancelled_until_the_event_ends() -> None:
    paid = given(created(), ANNS.reserved(), ANNS.paid())
    paid.when(ANNS.cancel(), at=END).then_refused(EventEnded())
    paid.when(ANNS.cancel(), at=END - INSTANT).then(ANNS.cancelled(END - INSTANT, refund_due_minor=2500))


def test_a_hold_can_be_cancelled_after_the_event_ended() -> None:
    at_the_door = ANNS._replace(held_at=END - INSTANT)
    given(created(), at_the_door.reserved()).when(at_the_door.cancel(), at=END).then(at_the_door.cancelled(END))


@pytest.mark.parametrize("refund_due_minor", [0, 2500])
def test_cancelling_again_is_the_same_answer(refund_due_minor: int) -> None:
    steps = [ANNS.paid()] if refund_due_minor else []
    cancelled = given(created(), ANNS.reserved(), *steps, ANNS.cancelled(refund_due_minor=refund_due_minor))
    for later in (SOON, HOLD_OVER, END):
        decision = cancelled.when(ANNS.cancel(), at=later).then_nothing_new()
        assert decision.answer == cancelled.aggregates[ANNS.reservation_id].record


def test_what_ended_with_its_event_is_cancelled_already() -> None:
    scenario = given(created(), ANNS.reserved(), event_cancelled(), ANNS.withdrawn())
    decision = scenario.when(ANNS.cancel(), at=HOLD_OVER).then_nothing_new()
    assert decision.answer == scenario.aggregates[ANNS.reservation_id].record


@pytest.mark.parametrize("someone_else", [BOB, ORGANISER, ADMIN])
def test_nobody_but_the_buyer_finds_the_reservation(someone_else: object) -> None:
    asked = ANNS.cancel(by=someone_else)  # type: ignore[arg-type]
    given(created(), ANNS.reserved()).when(asked, at=SOON).then_refused(ReservationNotFound())


def test_a_reservation_that_is_not_there_is_not_found() -> None:
    given(created(), ANNS.reserved()).when(BOBS.cancel(), at=SOON).then_refused(ReservationNotFound())
