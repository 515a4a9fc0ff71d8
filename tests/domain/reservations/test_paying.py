"""A buyer pays: held tickets become sold ones, before the time to pay is over."""

import pytest

from domain.errors import EventIsCancelled, HoldExpired, NotPayable, ReservationNotFound
from tests.domain.builders import (
    ADMIN,
    BOB,
    DOORS,
    END,
    HOLD_OVER,
    INSTANT,
    ORGANISER,
    OTHER_CONCERT,
    STANDING,
    after,
    created,
    event_cancelled,
    key,
    window_changed,
)
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS

SOON = after(seconds=30)


def test_held_tickets_are_sold_at_the_price_when_they_were_held() -> None:
    anns = ANNS._replace(quantity=2)
    given(created(), anns.reserved()).when(anns.pay(), at=SOON).then(anns.paid(SOON))


def test_the_reference_and_the_key_are_recorded_with_the_payment() -> None:
    asked = ANNS.pay("bank 17", idempotency=key("once"))
    given(created(), ANNS.reserved()).when(asked, at=SOON).then(ANNS.paid(SOON, "bank 17", idempotency=key("once")))


def test_free_tickets_are_paid_with_nothing() -> None:
    free = ANNS._replace(
        ticket_type=type(STANDING)(
            ticket_type_id=STANDING.ticket_type_id, name="Free", capacity=5, amount_minor=0, currency="XXX"
        )
    )
    assert free.amount_minor == 0
    given(created(ticket_types=(free.ticket_type,)), free.reserved()).when(free.pay(), at=SOON).then(free.paid(SOON))


def test_a_hold_can_be_paid_until_its_deadline() -> None:
    just_before = HOLD_OVER - INSTANT
    given(created(), ANNS.reserved()).when(ANNS.pay(), at=just_before).then(ANNS.paid(just_before))
    given(created(), ANNS.reserved()).when(ANNS.pay(), at=HOLD_OVER).then_refused(HoldExpired(HOLD_OVER))


def test_an_expired_reservation_cannot_be_paid() -> None:
    scenario = given(created(), ANNS.reserved(), ANNS.expired())
    scenario.when(ANNS.pay(), at=HOLD_OVER).then_refused(HoldExpired(HOLD_OVER))


def test_a_hold_can_be_paid_after_sales_closed() -> None:
    scenario = given(created(), ANNS.reserved(), window_changed(sales_close_at=SOON))
    scenario.when(ANNS.pay(), at=SOON).then(ANNS.paid(SOON))


def test_a_hold_can_be_paid_after_the_event_ended() -> None:
    at_the_door = ANNS._replace(held_at=END - INSTANT)
    later = at_the_door.hold_expires_at - INSTANT
    given(created(), at_the_door.reserved()).when(at_the_door.pay(), at=later).then(at_the_door.paid(later))


def test_a_hold_cannot_be_paid_after_the_event_was_cancelled() -> None:
    scenario = given(created(), ANNS.reserved(), event_cancelled())
    scenario.when(ANNS.pay(), at=SOON).then_refused(EventIsCancelled())


@pytest.mark.parametrize("reference", [None, "bank 17"])
def test_paying_again_with_the_same_reference_is_the_same_answer(reference: str | None) -> None:
    paid = given(created(), ANNS.reserved(), ANNS.paid(SOON, reference))
    for later in (SOON, HOLD_OVER, DOORS):
        decision = paid.when(ANNS.pay(reference), at=later).then_nothing_new()
        assert decision.answer == paid.aggregates[ANNS.reservation_id].record
        assert decision.version == 2


@pytest.mark.parametrize(("first", "again"), [(None, "bank 17"), ("bank 17", None), ("bank 17", "bank 18")])
def test_paying_again_with_another_reference_is_refused(first: str | None, again: str | None) -> None:
    scenario = given(created(), ANNS.reserved(), ANNS.paid(SOON, first))
    scenario.when(ANNS.pay(again), at=SOON).then_refused(NotPayable("paid"))


def test_a_cancelled_reservation_cannot_be_paid() -> None:
    given(created(), ANNS.reserved(), ANNS.cancelled()).when(ANNS.pay(), at=SOON).then_refused(NotPayable("cancelled"))
    returned = given(created(), ANNS.reserved(), ANNS.paid(), ANNS.cancelled(refund_due_minor=2500))
    returned.when(ANNS.pay(), at=SOON).then_refused(NotPayable("cancelled"))


@pytest.mark.parametrize("someone_else", [BOB, ORGANISER, ADMIN])
def test_nobody_but_the_buyer_finds_the_reservation(someone_else: object) -> None:
    asked = ANNS.pay(by=someone_else)  # type: ignore[arg-type]
    given(created(), ANNS.reserved()).when(asked, at=SOON).then_refused(ReservationNotFound())


def test_a_reservation_that_is_not_there_is_not_found() -> None:
    given(created(), ANNS.reserved()).when(BOBS.pay(), at=SOON).then_refused(ReservationNotFound())
    given().when(ANNS.pay(), at=SOON).then_refused(ReservationNotFound())


def test_a_reservation_is_not_found_at_another_event() -> None:
    scenario = given(created(), created(event_id=OTHER_CONCERT), ANNS.reserved())
    scenario.when(ANNS.pay(event_id=OTHER_CONCERT), at=SOON).then_refused(ReservationNotFound())
