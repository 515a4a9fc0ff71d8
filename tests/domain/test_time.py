"""Time comes in with each command, and never runs backwards in a stream."""

from domain.errors import EventEnded, HoldExpired, SoldOut
from tests.domain.builders import (
    CONCERT,
    DOORS,
    END,
    HOLD_OVER,
    INSTANT,
    NOON,
    YESTERDAY,
    after,
    cancel_event,
    capacity_changed,
    change,
    created,
    event_cancelled,
)
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS

LAST = after(seconds=90)


def test_what_is_recorded_is_never_earlier_than_what_the_event_recorded_last() -> None:
    bobs = BOBS._replace(held_at=LAST)
    for earlier in (YESTERDAY, NOON, LAST - INSTANT, LAST):
        given(created(), capacity_changed(20, LAST)).when(bobs.reserve(), at=earlier).then(bobs.reserved())


def test_each_command_is_recorded_at_the_last_instant_when_the_clock_was_set_back() -> None:
    scenario = given(created(), ANNS.reserved(), capacity_changed(20, LAST))
    scenario.when(change(total_tickets=21), at=NOON).then(capacity_changed(21, LAST))
    scenario = given(created(), ANNS.reserved(), capacity_changed(20, LAST))
    scenario = scenario.when(ANNS.pay(), at=NOON).then(ANNS.paid(LAST))
    scenario.when(ANNS.cancel(), at=NOON).then(ANNS.cancelled(LAST, refund_due_minor=2500))
    given(created(), capacity_changed(20, LAST)).when(cancel_event(), at=NOON).then(event_cancelled(LAST))


def test_what_was_due_stays_due_when_the_clock_is_set_back() -> None:
    scenario = given(created(), ANNS.reserved(), capacity_changed(20, HOLD_OVER))
    scenario.when(ANNS.pay(), at=NOON).then_refused(HoldExpired(HOLD_OVER))
    scenario.when(ANNS.cancel(), at=NOON).then_refused(HoldExpired(HOLD_OVER))
    scenario.when(ANNS.expire(), at=NOON).then(ANNS.expired(HOLD_OVER))


def test_what_was_over_stays_over_when_the_clock_is_set_back() -> None:
    at_the_door = ANNS._replace(held_at=END - INSTANT)
    scenario = given(created(), at_the_door.reserved(), at_the_door.expired(at_the_door.hold_expires_at))
    scenario.when(BOBS.reserve(), at=DOORS).then_refused(EventEnded())


def test_a_payment_is_recorded_at_one_instant_in_both_streams_and_counts_like_any_other() -> None:
    scenario = given(created(), ANNS.reserved(), ANNS.paid(LAST))
    assert scenario.aggregates[CONCERT].modified_on == scenario.aggregates[ANNS.reservation_id].modified_on == LAST
    bobs = BOBS._replace(held_at=LAST)
    scenario.when(bobs.reserve(), at=NOON).then(bobs.reserved())


def test_many_things_may_happen_in_one_instant() -> None:
    scenario = given(created(capacity=1)).when(ANNS.reserve()).then(ANNS.reserved())
    scenario = scenario.when(BOBS.reserve()).then_refused(SoldOut(0, ANNS.hold_expires_at))
    scenario = scenario.when(ANNS.cancel()).then(ANNS.cancelled())
    scenario.when(BOBS.reserve()).then(BOBS.reserved())
