"""The system takes back tickets that were not paid in time."""

import pytest

from domain.domain_event import SYSTEM
from domain.errors import ReservationNotFound
from domain.reservation import Reservation
from tests.domain.builders import (
    DOORS,
    END,
    HOLD_OVER,
    INSTANT,
    NOON,
    OTHER_CONCERT,
    after,
    created,
    event_cancelled,
    limits_changed,
)
from tests.domain.given_when_then import Scenario, given
from tests.domain.purchase import ANNS, BOBS


def reservation_of(scenario: Scenario) -> Reservation:
    reservation = scenario.aggregates[ANNS.reservation_id]
    assert isinstance(reservation, Reservation)
    return reservation


def test_a_hold_expires_at_its_deadline_and_not_before() -> None:
    scenario = given(created(), ANNS.reserved())
    decision = scenario.when(ANNS.expire(), at=HOLD_OVER - INSTANT).then_nothing_new()
    assert decision.answer == reservation_of(scenario).record
    scenario.when(ANNS.expire(), at=HOLD_OVER).then(ANNS.expired(HOLD_OVER))


def test_a_late_expiry_is_recorded_at_its_own_instant() -> None:
    given(created(), ANNS.reserved()).when(ANNS.expire(), at=DOORS).then(ANNS.expired(DOORS))


def test_it_is_the_system_that_expires() -> None:
    recorded = given(created(), ANNS.reserved()).when(ANNS.expire(), at=HOLD_OVER).decision.domain_events
    assert {domain_event.actor_id for domain_event in recorded} == {SYSTEM}


@pytest.mark.parametrize("at", [HOLD_OVER, DOORS, END])
def test_a_paid_reservation_never_expires(at: object) -> None:
    scenario = given(created(), ANNS.reserved(), ANNS.paid())
    scenario.when(ANNS.expire(), at=at).then_nothing_new()  # type: ignore[arg-type]
    assert reservation_of(scenario).status == "paid"


def test_what_has_ended_does_not_expire() -> None:
    for end in (ANNS.expired(), ANNS.cancelled(), ANNS.withdrawn()):
        scenario = given(created(), ANNS.reserved(), end)
        decision = scenario.when(ANNS.expire(), at=DOORS).then_nothing_new()
        assert decision.answer == reservation_of(scenario).record
        assert (decision.stream_id, decision.version) == (ANNS.reservation_id, 2)


def test_what_was_paid_and_returned_does_not_expire() -> None:
    scenario = given(created(), ANNS.reserved(), ANNS.paid(), ANNS.cancelled(refund_due_minor=2500))
    scenario.when(ANNS.expire(), at=DOORS).then_nothing_new()


def test_the_deadline_is_the_one_given_when_the_tickets_were_held() -> None:
    scenario = given(created(), ANNS.reserved(), limits_changed(hold_seconds=1))
    scenario.when(ANNS.expire(), at=after(seconds=60)).then_nothing_new()
    scenario = given(created(), limits_changed(hold_seconds=3600), ANNS.reserved())
    scenario.when(ANNS.expire(), at=HOLD_OVER).then(ANNS.expired())


def test_a_hold_of_an_ended_event_expires() -> None:
    late = ANNS._replace(held_at=END - INSTANT)
    expires_at = late.hold_expires_at
    given(created(), late.reserved()).when(late.expire(), at=expires_at).then(late.expired(expires_at))


def test_a_hold_of_a_cancelled_event_expires_if_it_fell_due() -> None:
    scenario = given(created(), ANNS.reserved(), event_cancelled(NOON))
    scenario.when(ANNS.expire(), at=HOLD_OVER - INSTANT).then_nothing_new()
    scenario.when(ANNS.expire(), at=HOLD_OVER).then(ANNS.expired())


def test_one_expiry_leaves_other_holds_alone() -> None:
    scenario = given(created(), ANNS.reserved(), BOBS.reserved())
    scenario = scenario.when(ANNS.expire(), at=HOLD_OVER).then(ANNS.expired())
    scenario.when(BOBS.expire(), at=HOLD_OVER).then(BOBS.expired())


def test_a_reservation_that_is_not_there_is_not_found() -> None:
    given(created()).when(ANNS.expire(), at=HOLD_OVER).then_refused(ReservationNotFound())
    given(created()).when(ANNS.withdraw(), at=HOLD_OVER).then_refused(ReservationNotFound())
    scenario = given(created(), created(event_id=OTHER_CONCERT), ANNS.reserved())
    scenario.when(ANNS.expire(event_id=OTHER_CONCERT), at=HOLD_OVER).then_refused(ReservationNotFound())
