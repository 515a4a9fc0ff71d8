"""Tickets of a hold that is due are for sale at that instant, also when no worker has taken them back."""

from uuid import UUID

import pytest

from domain.domain_event import SYSTEM
from domain.errors import LimitPerBuyer, SoldOut
from tests.domain.builders import (
    ANN,
    BOB,
    CLEO,
    HOLD_OVER,
    INSTANT,
    SEATED,
    SEATED_ID,
    STANDING,
    STANDING_ID,
    after,
    created,
    limits_changed,
)
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS, CLEOS, Purchase

BOTH_TYPES = (STANDING, SEATED)
LATE = after(minutes=5)
ANNS_NEXT = Purchase(UUID(int=0x201), ANN, held_at=HOLD_OVER)


def a_hold(number: int, buyer: UUID, **changes: object) -> Purchase:
    return Purchase(UUID(int=number), buyer)._replace(**changes)  # type: ignore[arg-type]


def test_a_due_hold_gives_its_tickets_to_the_next_buyer() -> None:
    bobs = BOBS._replace(held_at=HOLD_OVER)
    scenario = given(created(capacity=1), ANNS.reserved())
    scenario.when(bobs.reserve(), at=HOLD_OVER).then(ANNS.expired(HOLD_OVER), bobs.reserved())


def test_a_hold_keeps_its_tickets_until_its_deadline() -> None:
    scenario = given(created(capacity=1), ANNS.reserved())
    scenario.when(BOBS.reserve(), at=HOLD_OVER - INSTANT).then_refused(SoldOut(0, HOLD_OVER))


def test_the_buyers_own_due_hold_leaves_room_within_the_limit() -> None:
    scenario = given(created(max_per_buyer=1), ANNS.reserved())
    scenario.when(ANNS_NEXT.reserve(), at=HOLD_OVER - INSTANT).then_refused(LimitPerBuyer(1, 1, ANNS.reservation_id))
    scenario.when(ANNS_NEXT.reserve(), at=HOLD_OVER).then(ANNS.expired(HOLD_OVER), ANNS_NEXT.reserved())


def test_due_holds_stay_when_there_is_room_without_them() -> None:
    scenario = given(created(capacity=2, max_per_buyer=2), ANNS.reserved())
    scenario.when(ANNS_NEXT.reserve(), at=HOLD_OVER).then(ANNS_NEXT.reserved())


def test_due_holds_are_taken_back_oldest_deadline_first_and_only_as_many_as_needed() -> None:
    youngest = a_hold(1, ANN, held_at=after(seconds=3))
    oldest = a_hold(2, BOB, held_at=after(seconds=1))
    middle = a_hold(3, CLEO, held_at=after(seconds=2))
    asked = a_hold(4, UUID(int=0xDD), quantity=2, held_at=LATE)
    holds = [youngest.reserved(), oldest.reserved(), middle.reserved()]
    scenario = given(created(capacity=3), *holds)
    scenario.when(asked.reserve(), at=LATE).then(oldest.expired(LATE), middle.expired(LATE), asked.reserved())


def test_the_order_is_that_of_deadlines_not_of_reservations() -> None:
    long_hold = a_hold(1, ANN, hold_seconds=200)
    short_hold = a_hold(2, BOB, held_at=after(seconds=1), hold_seconds=10)
    asked = a_hold(3, CLEO, held_at=LATE, hold_seconds=10)
    limits = limits_changed(hold_seconds=10)
    scenario = given(created(capacity=2), long_hold.reserved(), limits, short_hold.reserved())
    scenario.when(asked.reserve(), at=LATE).then(short_hold.expired(LATE), asked.reserved())


def test_a_buyers_due_holds_are_taken_back_oldest_deadline_first_and_only_as_many_as_needed() -> None:
    long_hold = a_hold(1, ANN, hold_seconds=200)
    short_hold = a_hold(2, ANN, ticket_type=SEATED, held_at=after(seconds=1), hold_seconds=10)
    asked = a_hold(3, ANN, held_at=LATE, hold_seconds=10)
    limits = limits_changed(hold_seconds=10, max_per_buyer=2)
    scenario = given(created(ticket_types=BOTH_TYPES), long_hold.reserved(), limits, short_hold.reserved())
    scenario.when(asked.reserve(), at=LATE).then(short_hold.expired(LATE), asked.reserved())


def test_a_hold_that_is_not_due_is_not_taken_back_with_one_that_is() -> None:
    due, running = a_hold(1, ANN), a_hold(2, BOB, held_at=after(seconds=1))
    asked = a_hold(3, CLEO, quantity=2, held_at=HOLD_OVER)
    scenario = given(created(capacity=2), due.reserved(), running.reserved())
    scenario.when(asked.reserve(), at=HOLD_OVER).then_refused(SoldOut(1, running.hold_expires_at))


def test_a_buyers_hold_that_is_not_due_counts_beside_one_that_is() -> None:
    due, running = a_hold(1, ANN), a_hold(2, ANN, held_at=after(seconds=1))
    asked = a_hold(3, ANN, quantity=2, held_at=HOLD_OVER)
    scenario = given(created(max_per_buyer=2), due.reserved(), running.reserved())
    scenario.when(asked.reserve(), at=HOLD_OVER).then_refused(LimitPerBuyer(2, 1, running.reservation_id))


def test_a_due_hold_of_another_ticket_type_brings_no_stock() -> None:
    seated = ANNS._replace(ticket_type=SEATED)
    standing = BOBS
    scenario = given(created(ticket_types=BOTH_TYPES, capacity=1), seated.reserved(), standing.reserved(), BOBS.paid())
    scenario.when(CLEOS.reserve(), at=LATE).then_refused(SoldOut(available=0))


def test_a_due_hold_taken_back_for_the_limit_counts_for_the_stock_too() -> None:
    scenario = given(created(capacity=1, max_per_buyer=1), ANNS.reserved())
    scenario.when(ANNS_NEXT.reserve(), at=HOLD_OVER).then(ANNS.expired(HOLD_OVER), ANNS_NEXT.reserved())


def test_one_decision_may_take_back_holds_for_the_limit_and_others_for_the_stock() -> None:
    anns_seat = a_hold(1, ANN, ticket_type=SEATED)
    bobs, cleos = a_hold(2, BOB), a_hold(3, CLEO, held_at=after(seconds=1))
    asked = a_hold(4, ANN, held_at=LATE)
    scenario = given(
        created(ticket_types=BOTH_TYPES, capacity=2, max_per_buyer=1),
        anns_seat.reserved(),
        bobs.reserved(),
        cleos.reserved(),
    )
    scenario.when(asked.reserve(), at=LATE).then(anns_seat.expired(LATE), bobs.expired(LATE), asked.reserved())


def test_enough_for_the_limit_need_not_be_enough_for_the_stock() -> None:
    anns, bobs = a_hold(1, ANN), a_hold(2, BOB)
    asked = a_hold(3, ANN, quantity=2, held_at=LATE)
    scenario = given(created(capacity=2, max_per_buyer=2), anns.reserved(), bobs.reserved())
    scenario.when(asked.reserve(), at=LATE).then(anns.expired(LATE), bobs.expired(LATE), asked.reserved())


@pytest.mark.parametrize(("capacity", "left"), [(1, 1), (2, 2)])
def test_a_refusal_counts_due_holds_as_free_and_records_none_of_them(capacity: int, left: int) -> None:
    anns = ANNS._replace(quantity=capacity)
    scenario = given(created(capacity=capacity), anns.reserved())
    asked = BOBS._replace(quantity=capacity + 1)
    scenario.when(asked.reserve(), at=LATE).then_refused(SoldOut(available=left))
    scenario.when(anns.expire(), at=LATE).then(anns.expired(LATE))


def test_room_within_the_limit_is_of_no_use_when_it_is_sold_out() -> None:
    anns_due, bobs = a_hold(1, ANN), a_hold(2, BOB, ticket_type=SEATED)
    asked = a_hold(3, ANN, ticket_type=SEATED, held_at=LATE)
    scenario = given(
        created(ticket_types=BOTH_TYPES, capacity=1, max_per_buyer=1),
        anns_due.reserved(),
        bobs.reserved(),
        bobs.paid(),
    )
    scenario.when(asked.reserve(), at=LATE).then_refused(SoldOut(available=0))


def test_the_system_takes_them_back_in_the_request_of_the_buyer() -> None:
    bobs = BOBS._replace(held_at=HOLD_OVER)
    scenario = given(created(capacity=1), ANNS.reserved())
    recorded = scenario.when(bobs.reserve(), at=HOLD_OVER).decision.domain_events
    assert [domain_event.actor_id for domain_event in recorded] == [SYSTEM, SYSTEM, str(BOB), str(BOB)]
    assert {domain_event.request_id for domain_event in recorded} == {bobs.reserve().request_id}
    assert all(domain_event.idempotency is None for domain_event in recorded)


def test_due_holds_are_told_by_type_and_by_buyer() -> None:
    seated = a_hold(1, ANN, ticket_type=SEATED, held_at=after(seconds=1))
    standing, bobs = a_hold(2, ANN), a_hold(3, BOB)
    holds = [seated.reserved(), standing.reserved(), bobs.reserved()]
    event = given(created(ticket_types=BOTH_TYPES), *holds).event(created().originator_id)
    assert event is not None
    assert list(event.stock[STANDING_ID].due_holds(HOLD_OVER)) == [UUID(int=2), UUID(int=3)]
    assert list(event.stock[SEATED_ID].due_holds(HOLD_OVER)) == []
    assert event.due_holds_of_buyer(ANN, HOLD_OVER) == [UUID(int=2)]
    assert event.due_holds_of_buyer(ANN, LATE) == [UUID(int=2), UUID(int=1)]
    assert event.due_holds_of_buyer(CLEO, LATE) == []
