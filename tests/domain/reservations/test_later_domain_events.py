"""A reservation may get further domain events before its end: they are in nobody's way."""

from domain.domain_event import DomainEvent
from tests.domain.builders import CONCERT, HOLD_OVER, about, created, event_cancelled
from tests.domain.given_when_then import Scenario, given
from tests.domain.later_domain_events import HoldAnnotated, ReservationAnnotated
from tests.domain.purchase import ANNS, BOBS, Purchase


def annotated(purchase: Purchase, version: int = 2) -> tuple[DomainEvent, ...]:
    """The buyer adds a wish, which becomes this version of the reservation."""
    at, buyer, reservation_id = purchase.held_at, purchase.buyer, purchase.reservation_id
    return (
        HoldAnnotated(**about(at, buyer), reservation_id=reservation_id, reservation_version=version),
        ReservationAnnotated(**about(at, buyer, reservation_id), event_id=CONCERT, wish="by the aisle"),
    )


def sold_out() -> Scenario:
    return given(created(capacity=1), ANNS.reserved(), annotated(ANNS), annotated(ANNS, 3))


def test_it_is_paid() -> None:
    sold_out().when(ANNS.pay()).then(ANNS.paid())


def test_it_is_cancelled() -> None:
    sold_out().when(ANNS.cancel()).then(ANNS.cancelled())


def test_it_expires() -> None:
    sold_out().when(ANNS.expire(), at=HOLD_OVER).then(ANNS.expired())


def test_it_expires_with_its_event() -> None:
    sold_out().when(ANNS.withdraw(), at=HOLD_OVER).then(ANNS.expired())
    scenario = given(created(), ANNS.reserved(), annotated(ANNS), event_cancelled())
    scenario.when(ANNS.withdraw()).then(ANNS.withdrawn())


def test_another_buyer_gets_its_tickets_once_it_is_due() -> None:
    bobs = BOBS._replace(held_at=HOLD_OVER)
    sold_out().when(bobs.reserve(), at=HOLD_OVER).then(ANNS.expired(), bobs.reserved())
