"""The organiser cancels one reservation: a hold until it runs out, paid tickets also after the event."""

import pytest

from domain.errors import HoldExpired, IdempotencyKeyReused, NotTheOrganiser, ReservationNotFound
from tests.domain.builders import (
    ADMIN,
    ANN,
    BOB,
    CONCERT,
    END,
    HOLD_OVER,
    INSTANT,
    LATER_REQUEST,
    ORGANISER,
    OTHER_CONCERT,
    after,
    created,
    event_cancelled,
    key,
)
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS

SOON = after(seconds=30)


def test_held_tickets_are_for_sale_again_with_nothing_to_refund() -> None:
    scenario = given(created(capacity=1), ANNS.reserved()).when(ANNS.revoke(), at=SOON).then(ANNS.revoked(SOON))
    bobs = BOBS._replace(held_at=SOON)
    scenario.when(bobs.reserve(), at=SOON).then(bobs.reserved())


def test_paid_tickets_are_given_back_with_their_price_to_refund_also_after_the_event() -> None:
    anns = ANNS._replace(quantity=2)
    for at in (SOON, END - INSTANT, END, after(days=9)):
        scenario = given(created(), anns.reserved(), anns.paid())
        scenario.when(anns.revoke(), at=at).then(anns.revoked(at, refund_due_minor=5000))


def test_the_organiser_and_an_admin_may_and_nobody_else() -> None:
    paid = given(created(), ANNS.reserved(), ANNS.paid())
    for somebody in (ANN, BOB):
        paid.when(ANNS.revoke(by=somebody), at=SOON).then_refused(NotTheOrganiser())
    paid.when(ANNS.revoke(by=ADMIN), at=SOON).then(ANNS.revoked(SOON, by=ADMIN, refund_due_minor=2500))


def test_an_organiser_who_is_the_buyer_may_choose_either_way() -> None:
    own = ANNS._replace(buyer=ORGANISER)
    given(created(), own.reserved()).when(own.revoke(), at=SOON).then(own.revoked(SOON))
    given(created(), own.reserved()).when(own.cancel(), at=SOON).then(own.cancelled(SOON))


def test_a_hold_that_is_over_is_not_cancelled() -> None:
    scenario = given(created(), ANNS.reserved())
    scenario.when(ANNS.revoke(), at=HOLD_OVER - INSTANT).then(ANNS.revoked(HOLD_OVER - INSTANT))
    scenario = given(created(), ANNS.reserved())
    scenario.when(ANNS.revoke(), at=HOLD_OVER).then_refused(HoldExpired(HOLD_OVER))
    scenario = given(created(), ANNS.reserved(), ANNS.expired())
    scenario.when(ANNS.revoke(), at=HOLD_OVER).then_refused(HoldExpired(HOLD_OVER))


@pytest.mark.parametrize(
    "steps",
    [[ANNS.cancelled()], [ANNS.revoked()], [event_cancelled(), ANNS.withdrawn()]],
    ids=["buyer", "own", "event"],
)
def test_what_is_cancelled_already_is_the_same_answer(steps: list[object]) -> None:
    scenario = given(created(), ANNS.reserved(), *steps)  # type: ignore[arg-type]
    decision = scenario.when(ANNS.revoke(request_id=LATER_REQUEST), at=END).then_nothing_new()
    assert decision.answer == scenario.aggregates[ANNS.reservation_id].record
    assert not decision.replayed
    buyers = scenario.when(ANNS.cancel(request_id=LATER_REQUEST), at=SOON).then_nothing_new()
    assert buyers.answer == decision.answer


def test_a_key_counts_once() -> None:
    scenario = given(created(), ANNS.reserved()).when(ANNS.revoke(idempotency=key("k")), at=SOON)
    done = scenario.then(ANNS.revoked(SOON, idempotency=key("k")))
    again = ANNS.revoke(idempotency=key("k"), request_id=LATER_REQUEST)
    assert done.when(again, at=END).then_nothing_new().replayed
    other = ANNS.revoke(idempotency=key("k", "another body"), request_id=LATER_REQUEST)
    done.when(other, at=END).then_refused(IdempotencyKeyReused())


def test_a_reservation_that_is_not_there_or_of_another_event_is_not_found() -> None:
    scenario = given(created(), created(event_id=OTHER_CONCERT), ANNS.reserved())
    scenario.when(BOBS.revoke(), at=SOON).then_refused(ReservationNotFound())
    scenario.when(ANNS.revoke(event_id=OTHER_CONCERT), at=SOON).then_refused(ReservationNotFound())
    scenario.when(ANNS._replace(reservation_id=CONCERT).revoke(), at=SOON).then_refused(ReservationNotFound())


def test_the_reservation_of_a_cancelled_event_may_be_cancelled_before_the_system_does() -> None:
    scenario = given(created(), ANNS.reserved(), ANNS.paid(), event_cancelled())
    scenario = scenario.when(ANNS.revoke(), at=SOON).then(ANNS.revoked(SOON, refund_due_minor=2500))
    scenario.when(ANNS.withdraw(), at=SOON).then_nothing_new()
