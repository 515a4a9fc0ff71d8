"""A buyer gives some of the tickets of a reservation back: held or paid ones, with the refund due for paid ones."""

from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.errors import (
    EventEnded,
    HoldExpired,
    IdempotencyKeyReused,
    LimitPerBuyer,
    MoreThanReserved,
    ReservationNotFound,
    TooManyParts,
)
from domain.returning import MOST_PARTS
from tests.domain.builders import (
    BOB,
    CONCERT,
    END,
    HOLD_OVER,
    INSTANT,
    LATER_REQUEST,
    after,
    created,
    event_cancelled,
    key,
    limits_changed,
)
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS

THREE = ANNS._replace(quantity=3)
PRICE = ANNS.amount_minor
SOON = after(seconds=30)
HELD = (created(capacity=3), THREE.reserved())
PAID = (*HELD, THREE.paid())


def test_held_tickets_are_given_back_and_the_others_stay_held() -> None:
    scenario = given(*HELD).when(THREE.cancel(quantity=1), at=SOON).then(THREE.reduced(1, SOON))
    event = scenario.event(CONCERT)
    assert event is not None
    (stock,) = event.stock.values()
    assert (stock.held, stock.available, event.tickets_of(ANNS.buyer)) == (2, 1, 2)
    hold = event.holds[THREE.reservation_id]
    assert (hold.quantity, hold.reservation_version, hold.hold_expires_at) == (2, 2, HOLD_OVER)


def test_paid_tickets_are_given_back_with_their_price_to_refund() -> None:
    scenario = given(*PAID).when(THREE.cancel(quantity=2), at=SOON)
    scenario = scenario.then(THREE.reduced(2, SOON, refund_due_minor=2 * PRICE))
    record = scenario.aggregates[THREE.reservation_id].record
    assert (record.status, record.quantity, record.amount_minor) == ("paid", 1, PRICE)
    assert record.refund_due_minor == 2 * PRICE


@pytest.mark.parametrize("steps", [HELD, PAID])
@pytest.mark.parametrize("quantity", [None, 3])
def test_all_that_is_left_is_the_whole_reservation(steps: Any, quantity: int | None) -> None:
    refund_due_minor = 3 * PRICE if steps is PAID else 0
    scenario = given(*steps).when(THREE.cancel(quantity=quantity), at=SOON)
    scenario.then(THREE.cancelled(SOON, refund_due_minor=refund_due_minor))


def test_the_rest_is_cancelled_and_only_the_rest_is_refunded() -> None:
    scenario = given(*PAID, THREE.reduced(1, refund_due_minor=PRICE))
    scenario = scenario.when(THREE.cancel(), at=SOON).then(THREE.less(1).cancelled(SOON, refund_due_minor=2 * PRICE))
    assert scenario.aggregates[THREE.reservation_id].record.refund_due_minor == 3 * PRICE
    assert scenario.aggregates[CONCERT].buyers == {}


def test_what_is_left_of_a_hold_is_paid() -> None:
    given(*HELD, THREE.reduced(2)).when(THREE.pay(), at=SOON).then(THREE.less(2).paid(SOON))


def test_what_is_left_of_a_hold_expires_and_no_more() -> None:
    left = THREE.less(2)
    scenario = given(*HELD, THREE.reduced(2)).when(THREE.expire(), at=HOLD_OVER).then(left.expired())
    event = scenario.event(CONCERT)
    assert event is not None
    assert [stock.available for stock in event.stock.values()] == [3]
    bobs = BOBS._replace(quantity=3, held_at=HOLD_OVER)
    given(*HELD, THREE.reduced(2)).when(bobs.reserve(), at=HOLD_OVER).then(left.expired(), bobs.reserved())


def test_what_is_left_is_refunded_with_a_cancelled_event() -> None:
    scenario = given(*PAID, THREE.reduced(1, refund_due_minor=PRICE), event_cancelled())
    scenario.when(THREE.withdraw(), at=SOON).then(THREE.less(1).withdrawn(SOON, refund_due_minor=2 * PRICE))


def test_what_is_given_back_is_for_sale_at_once_and_counts_no_more_towards_the_limit() -> None:
    given(*HELD, THREE.reduced(1)).when(BOBS.reserve()).then(BOBS.reserved())
    another = BOBS._replace(buyer=ANNS.buyer)
    tight = (created(capacity=4, max_per_buyer=3), THREE.reserved())
    given(*tight).when(another.reserve()).then_refused(LimitPerBuyer(3, 3, THREE.reservation_id))
    given(*tight, THREE.reduced(1)).when(another.reserve()).then(another.reserved())


def test_what_was_given_back_of_an_extended_hold_leaves_it_its_end() -> None:
    until = after(minutes=5)
    extended = (created(hold_extension_seconds=180), THREE.reserved(), THREE.extended(until), THREE.reduced(1))
    given(*extended).when(THREE.expire(), at=HOLD_OVER).then_nothing_new()
    given(*extended).when(THREE.expire(), at=until).then(THREE.less(1).expired(until))
    offered = (created(hold_extension_seconds=180), THREE.reserved(), THREE.reduced(1))
    given(*offered).when(THREE.extend()).then(THREE.less(1).extended(until))


@pytest.mark.parametrize("parts", sorted(set(permutations([1, 1, 2, 3])))[:24])
@pytest.mark.parametrize("amount_minor", [0, 1, 999, 1000, 17_001])
def test_all_refunds_together_are_what_was_paid_whatever_the_order(parts: tuple[int, ...], amount_minor: int) -> None:
    """Amounts divide as prices are today; the rule holds for any amount."""
    seven = ANNS._replace(quantity=7)
    sold, paid = (replace(fact, amount_minor=amount_minor) for fact in seven.paid())
    held, placed = seven.reserved()
    reserved = (held, replace(placed, amount_minor=amount_minor))
    scenario, refunds = given(created(max_per_buyer=7), reserved, (sold, paid)), []
    for number, part in enumerate(parts):
        asked = seven.cancel(quantity=part, request_id=UUID(int=number))
        decision = scenario.when(asked, at=SOON).decision
        scenario.record(decision.domain_events)
        refunds.append(decision.domain_events[-1].refund_due_minor)  # type: ignore[attr-defined]
    assert sum(refunds) == amount_minor
    assert min(refunds) >= 0
    record = scenario.aggregates[seven.reservation_id].record
    assert (record.status, record.refund_due_minor) == ("cancelled", amount_minor)


def test_the_order_of_refusals_is_that_of_cancelling() -> None:
    given(*HELD).when(THREE.cancel(quantity=4)).then_refused(MoreThanReserved(3))
    given(*HELD, THREE.reduced(1)).when(THREE.cancel(quantity=3)).then_refused(MoreThanReserved(2))
    given(*HELD).when(THREE.cancel(quantity=4, by=BOB)).then_refused(ReservationNotFound())
    given(*HELD).when(THREE.cancel(quantity=1), at=HOLD_OVER).then_refused(HoldExpired(HOLD_OVER))
    given(*PAID).when(THREE.cancel(quantity=1), at=END).then_refused(EventEnded())
    given(*PAID).when(THREE.cancel(quantity=1), at=END - INSTANT).then(
        THREE.reduced(1, END - INSTANT, refund_due_minor=PRICE)
    )
    given(*HELD, THREE.cancelled()).when(THREE.cancel(quantity=1)).then_nothing_new()


def test_each_part_has_a_key_of_its_own_and_is_recorded_once() -> None:
    first = THREE.cancel(quantity=1, idempotency=key("first"))
    second = THREE.cancel(quantity=1, idempotency=key("second"), request_id=UUID(int=2))
    scenario = given(*PAID)
    for asked in (first, second):
        decision = scenario.when(asked, at=SOON).decision
        assert len(decision.domain_events) == 2
        scenario.record(decision.domain_events)
    scenario.record(scenario.numbered(THREE.less(2).cancelled(SOON, refund_due_minor=PRICE)))
    for asked, version, left in ((first, 3, 2), (second, 4, 1)):
        again = scenario.when(replace(asked, request_id=LATER_REQUEST), at=END).then_nothing_new()
        assert (again.replayed, again.version) == (True, version)
        assert (again.answer[0], again.answer.quantity, again.answer.status) == (  # type: ignore[attr-defined]
            scenario.aggregates[THREE.reservation_id].record.placed, left, "paid"
        )  # fmt: skip
    other = THREE.cancel(quantity=2, idempotency=key("first", "another body"), request_id=LATER_REQUEST)
    scenario.when(other).then_refused(IdempotencyKeyReused())


def test_paying_again_answers_with_what_is_left() -> None:
    scenario = given(*PAID, THREE.reduced(1, refund_due_minor=PRICE))
    again = scenario.when(THREE.pay(request_id=LATER_REQUEST), at=SOON).then_nothing_new()
    assert again.answer == scenario.aggregates[THREE.reservation_id].record


def test_there_is_an_end_to_parts_and_the_rest_goes_at_once() -> None:
    many = ANNS._replace(quantity=MOST_PARTS + 2)
    steps, left = [created(capacity=30), limits_changed(max_per_buyer=30), many.reserved()], many
    for _ in range(MOST_PARTS):
        steps.append(left.reduced(1))
        left = left.less(1)
    given(*steps).when(many.cancel(quantity=1)).then_refused(TooManyParts(MOST_PARTS))
    given(*steps).when(many.cancel(quantity=2)).then(left.cancelled())
    given(*steps).when(many.pay()).then(left.paid())
