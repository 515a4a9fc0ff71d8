"""An organiser calls an event off; then its reservations are ended one by one."""

from domain.errors import EventIsCancelled, EventNotFound, HoldExpired, NotTheOrganiser
from tests.domain.builders import (
    ADMIN,
    ANN,
    END,
    HOLD_OVER,
    INSTANT,
    NOON,
    after,
    cancel_event,
    created,
    event_cancelled,
    key,
)
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS, CLEOS

LATER = after(seconds=10)


def test_an_event_is_cancelled_once() -> None:
    given(created()).when(cancel_event()).then(event_cancelled())


def test_its_reservations_stay_as_they_are_at_first() -> None:
    scenario = given(created(), ANNS.reserved(), BOBS.reserved(), BOBS.paid())
    scenario.when(cancel_event(idempotency=key("off"))).then(event_cancelled(idempotency=key("off")))


def test_the_organiser_and_an_admin_may_cancel_an_event_and_nobody_else() -> None:
    given(created()).when(cancel_event(by=ANN)).then_refused(NotTheOrganiser())
    given(created()).when(cancel_event(by=ADMIN)).then(event_cancelled(by=ADMIN))


def test_an_event_that_is_not_there_cannot_be_cancelled() -> None:
    given().when(cancel_event()).then_refused(EventNotFound())


def test_an_event_can_be_cancelled_also_after_its_end() -> None:
    for at in (END - INSTANT, END, after(days=9)):
        given(created()).when(cancel_event(), at=at).then(event_cancelled(at))


def test_what_was_paid_for_an_event_that_is_cancelled_after_its_end_is_to_be_refunded() -> None:
    scenario = given(created(), ANNS.reserved(), ANNS.paid()).when(cancel_event(), at=END).then(event_cancelled(END))
    scenario.when(ANNS.withdraw(), at=END).then(ANNS.withdrawn(END, refund_due_minor=2500))


def test_nothing_is_held_after_it() -> None:
    given(created(), event_cancelled()).when(ANNS.reserve(), at=LATER).then_refused(EventIsCancelled())


def test_nothing_is_paid_after_it() -> None:
    scenario = given(created(), ANNS.reserved(), event_cancelled())
    scenario.when(ANNS.pay(), at=LATER).then_refused(EventIsCancelled())


def test_a_hold_ends_as_cancelled_with_nothing_to_refund() -> None:
    scenario = given(created(), ANNS.reserved(), event_cancelled())
    scenario.when(ANNS.withdraw(), at=LATER).then(ANNS.withdrawn(LATER))


def test_a_hold_that_fell_due_first_ends_as_expired() -> None:
    scenario = given(created(), ANNS.reserved(), event_cancelled())
    scenario.when(ANNS.withdraw(), at=HOLD_OVER - INSTANT).then(ANNS.withdrawn(HOLD_OVER - INSTANT))
    scenario = given(created(), ANNS.reserved(), event_cancelled())
    scenario.when(ANNS.withdraw(), at=HOLD_OVER).then(ANNS.expired())


def test_paid_tickets_end_as_cancelled_with_their_price_to_refund() -> None:
    anns = ANNS._replace(quantity=3)
    scenario = given(created(), anns.reserved(), anns.paid(), event_cancelled())
    scenario.when(anns.withdraw(), at=LATER).then(anns.withdrawn(LATER, refund_due_minor=7500))


def test_paid_tickets_are_withdrawn_also_after_the_event_would_have_ended() -> None:
    scenario = given(created(), ANNS.reserved(), ANNS.paid(), event_cancelled())
    scenario.when(ANNS.withdraw(), at=END).then(ANNS.withdrawn(END, refund_due_minor=2500))


def test_the_system_withdraws_nothing_from_an_event_that_goes_on() -> None:
    given(created(), ANNS.reserved()).when(ANNS.withdraw(), at=LATER).then_nothing_new()
    given(created(), ANNS.reserved(), ANNS.paid()).when(ANNS.withdraw(), at=LATER).then_nothing_new()


def test_a_reservation_that_ended_is_not_withdrawn_again() -> None:
    ended = [ANNS.cancelled(), ANNS.expired(), ANNS.withdrawn(HOLD_OVER)]
    for end in ended:
        scenario = given(created(), ANNS.reserved(), end, event_cancelled(HOLD_OVER))
        scenario.when(ANNS.withdraw(), at=HOLD_OVER).then_nothing_new()


def test_the_buyer_may_be_faster_than_the_system() -> None:
    scenario = given(created(), ANNS.reserved(), ANNS.paid(), event_cancelled())
    scenario = scenario.when(ANNS.cancel(), at=LATER).then(ANNS.cancelled(LATER, refund_due_minor=2500))
    scenario.when(ANNS.withdraw(), at=LATER).then_nothing_new()


def test_a_buyer_cannot_cancel_what_fell_due() -> None:
    scenario = given(created(), CLEOS.reserved(), event_cancelled(NOON))
    scenario.when(CLEOS.cancel(), at=HOLD_OVER).then_refused(HoldExpired(HOLD_OVER))
