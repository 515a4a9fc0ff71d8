"""Who is told that tickets are sold out is told when the next hold ends, if that may give them."""

from uuid import UUID

from domain.errors import SoldOut
from tests.domain.builders import HOLD_OVER, INSTANT, SEATED, STANDING, after, capacity_changed, created
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS, CLEOS, Purchase

LATER = ANNS._replace(reservation_id=UUID(int=1), held_at=after(seconds=30))
DANS = Purchase(UUID(int=0x104), UUID(int=0xDA))


def test_the_hold_that_ends_first_is_named_and_at_that_instant_its_tickets_are_for_sale() -> None:
    scenario = given(created(capacity=2), LATER.reserved(), BOBS.reserved())
    scenario.when(CLEOS.reserve(), at=HOLD_OVER - INSTANT).then_refused(SoldOut(0, HOLD_OVER))
    cleos = CLEOS._replace(held_at=HOLD_OVER)
    scenario.when(cleos.reserve(), at=HOLD_OVER).then(BOBS.expired(HOLD_OVER), cleos.reserved())


def test_a_hold_that_is_due_is_not_the_next_one() -> None:
    scenario = given(created(capacity=2), LATER.reserved(), BOBS.reserved())
    scenario.when(CLEOS._replace(quantity=2).reserve(), at=HOLD_OVER).then_refused(SoldOut(1, LATER.hold_expires_at))
    cleos = CLEOS._replace(quantity=2, held_at=LATER.hold_expires_at)
    recorded = scenario.when(cleos.reserve(), at=LATER.hold_expires_at).decision.domain_events
    assert len(recorded) == 6


def test_paid_tickets_have_no_end() -> None:
    given(created(capacity=1), ANNS.reserved(), ANNS.paid()).when(BOBS.reserve()).then_refused(SoldOut(0))


def test_holds_of_another_ticket_type_are_of_no_help() -> None:
    seated = ANNS._replace(ticket_type=SEATED)
    scenario = given(created(ticket_types=(STANDING, SEATED), capacity=1), seated.reserved(), BOBS.reserved())
    scenario.record(scenario.numbered(BOBS.paid()))
    scenario.when(CLEOS.reserve()).then_refused(SoldOut(0))


def test_where_too_many_are_sold_no_hold_can_help() -> None:
    scenario = given(created(capacity=3), ANNS.reserved(), ANNS.paid(), BOBS.reserved())
    scenario.when(CLEOS._replace(quantity=3).reserve()).then_refused(SoldOut(1))
    scenario.record(scenario.numbered(DANS.reserved()))
    scenario.when(CLEOS._replace(quantity=2).reserve()).then_refused(SoldOut(0, HOLD_OVER))


def test_more_than_there_are_can_never_be_had() -> None:
    scenario = given(created(capacity=2), ANNS.reserved(), capacity_changed(1))
    scenario.when(CLEOS._replace(quantity=2).reserve()).then_refused(SoldOut(0))


def test_the_stock_tells_when_the_next_hold_ends() -> None:
    event = given(created(), ANNS.reserved(), LATER.reserved()).event(created().originator_id)
    assert event is not None
    (stock,) = event.stock.values()
    assert stock.next_hold_ends_at(HOLD_OVER - INSTANT) == HOLD_OVER
    assert stock.next_hold_ends_at(HOLD_OVER) == LATER.hold_expires_at
    assert stock.next_hold_ends_at(LATER.hold_expires_at) is None
