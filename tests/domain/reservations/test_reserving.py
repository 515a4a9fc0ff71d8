"""A buyer reserves tickets: they are held until paid, or until the time to pay is over."""

import pytest

from domain.errors import (
    EventEnded,
    EventNotFound,
    LimitPerBuyer,
    SalesClosed,
    SalesNotOpen,
    SoldOut,
    TicketTypeNotFound,
    TicketTypeRequired,
)
from tests.domain.builders import (
    ANN,
    CONCERT,
    DOORS,
    END,
    HOLD_OVER,
    INSTANT,
    SEATED,
    STANDING,
    UNKNOWN_TYPE_ID,
    after,
    capacity_changed,
    created,
    details_changed,
    key,
    limits_changed,
    window_changed,
)
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS, CLEOS

BOTH_TYPES = (STANDING, SEATED)
ANNS_NEXT = ANNS._replace(reservation_id=BOBS.reservation_id)


def test_tickets_are_held_and_a_reservation_is_placed() -> None:
    given(created()).when(ANNS.reserve()).then(ANNS.reserved())


def test_the_key_of_a_request_is_recorded_with_the_reservation() -> None:
    asked = ANNS.reserve(idempotency=key("once"))
    given(created()).when(asked).then(ANNS.reserved(idempotency=key("once")))


def test_the_amount_is_the_price_of_all_tickets() -> None:
    anns = ANNS._replace(quantity=3, ticket_type=SEATED)
    assert anns.amount_minor == 12000
    given(created(ticket_types=BOTH_TYPES)).when(anns.reserve()).then(anns.reserved())


def test_the_only_ticket_type_need_not_be_named() -> None:
    given(created()).when(ANNS.reserve(ticket_type_id=None)).then(ANNS.reserved())


def test_one_of_several_ticket_types_must_be_named() -> None:
    asked = ANNS.reserve(ticket_type_id=None)
    given(created(ticket_types=BOTH_TYPES)).when(asked).then_refused(TicketTypeRequired())


def test_an_unknown_ticket_type_is_refused() -> None:
    given(created()).when(ANNS.reserve(ticket_type_id=UNKNOWN_TYPE_ID)).then_refused(TicketTypeNotFound())


def test_an_event_that_is_not_there_is_refused() -> None:
    given().when(ANNS.reserve()).then_refused(EventNotFound())


def test_the_last_tickets_can_be_reserved_and_no_more() -> None:
    scenario = given(created(capacity=2), BOBS.reserved())
    scenario.when(ANNS._replace(quantity=2).reserve()).then_refused(SoldOut(1, HOLD_OVER))
    scenario = scenario.when(ANNS.reserve()).then(ANNS.reserved())
    scenario.when(CLEOS.reserve()).then_refused(SoldOut(0, HOLD_OVER))


def test_sold_tickets_are_taken_like_held_ones() -> None:
    scenario = given(created(capacity=1), BOBS.reserved(), BOBS.paid())
    scenario.when(ANNS.reserve()).then_refused(SoldOut(available=0))


def test_a_returned_ticket_can_be_reserved_again() -> None:
    scenario = given(created(capacity=1), BOBS.reserved(), BOBS.cancelled())
    scenario.when(ANNS.reserve()).then(ANNS.reserved())
    scenario = given(created(capacity=1), BOBS.reserved(), BOBS.paid(), BOBS.cancelled(refund_due_minor=2500))
    scenario.when(ANNS.reserve()).then(ANNS.reserved())


def test_each_ticket_type_has_its_own_stock() -> None:
    scenario = given(created(ticket_types=BOTH_TYPES, capacity=1), BOBS.reserved())
    seated = ANNS._replace(ticket_type=SEATED)
    scenario.when(ANNS.reserve()).then_refused(SoldOut(0, HOLD_OVER))
    scenario.when(seated.reserve()).then(seated.reserved())


def test_a_new_capacity_counts_at_once() -> None:
    scenario = given(created(capacity=1), BOBS.reserved(), capacity_changed(2))
    scenario.when(ANNS.reserve()).then(ANNS.reserved())


def test_a_buyer_has_no_more_tickets_than_the_limit() -> None:
    first, next_one = ANNS._replace(quantity=2), ANNS_NEXT._replace(quantity=2)
    scenario = given(created(max_per_buyer=3), first.reserved())
    scenario.when(next_one.reserve()).then_refused(LimitPerBuyer(3, 2, ANNS.reservation_id))
    scenario.when(ANNS_NEXT.reserve()).then(ANNS_NEXT.reserved())


def test_the_limit_counts_all_ticket_types_together() -> None:
    seated = ANNS_NEXT._replace(ticket_type=SEATED)
    scenario = given(created(ticket_types=BOTH_TYPES, max_per_buyer=1), ANNS.reserved())
    scenario.when(seated.reserve()).then_refused(LimitPerBuyer(1, 1, ANNS.reservation_id))


def test_the_limit_counts_paid_tickets() -> None:
    scenario = given(created(max_per_buyer=1), ANNS.reserved(), ANNS.paid())
    scenario.when(ANNS_NEXT.reserve()).then_refused(LimitPerBuyer(1, 1, ANNS.reservation_id))


def test_the_limit_counts_each_buyer_alone() -> None:
    scenario = given(created(max_per_buyer=1), ANNS.reserved())
    scenario.when(BOBS.reserve()).then(BOBS.reserved())


def test_a_returned_ticket_no_longer_counts_towards_the_limit() -> None:
    scenario = given(created(max_per_buyer=1), ANNS.reserved(), ANNS.cancelled())
    scenario.when(ANNS_NEXT.reserve()).then(ANNS_NEXT.reserved())
    scenario = given(created(max_per_buyer=1), ANNS.reserved(), ANNS.paid(), ANNS.cancelled(refund_due_minor=2500))
    scenario.when(ANNS_NEXT.reserve()).then(ANNS_NEXT.reserved())


def test_asking_for_more_than_the_limit_at_once_names_no_reservation() -> None:
    scenario = given(created(max_per_buyer=2))
    scenario.when(ANNS._replace(quantity=3).reserve()).then_refused(LimitPerBuyer(2, 0, None))


def test_the_limit_names_an_open_reservation_before_a_paid_one() -> None:
    scenario = given(created(max_per_buyer=2), ANNS.reserved(), ANNS_NEXT.reserved(), ANNS.paid())
    asked = ANNS._replace(reservation_id=CLEOS.reservation_id).reserve()
    scenario.when(asked).then_refused(LimitPerBuyer(2, 2, ANNS_NEXT.reservation_id))


def test_a_limit_below_what_a_buyer_has_leaves_no_room() -> None:
    anns = ANNS._replace(quantity=3)
    scenario = given(created(), anns.reserved(), limits_changed(max_per_buyer=1))
    scenario.when(ANNS_NEXT.reserve()).then_refused(LimitPerBuyer(1, 3, ANNS.reservation_id))


def test_sales_begin_when_they_open() -> None:
    opens_at = after(hours=1)
    scenario = given(created(sales_open_at=opens_at))
    scenario.when(ANNS.reserve(), at=opens_at - INSTANT).then_refused(SalesNotOpen(opens_at))
    anns = ANNS._replace(held_at=opens_at)
    scenario.when(anns.reserve(), at=opens_at).then(anns.reserved())


def test_sales_are_over_when_they_close() -> None:
    closes_at = after(hours=1)
    scenario = given(created(sales_close_at=closes_at))
    scenario.when(ANNS.reserve(), at=closes_at).then_refused(SalesClosed())
    anns = ANNS._replace(held_at=closes_at - INSTANT)
    scenario.when(anns.reserve(), at=closes_at - INSTANT).then(anns.reserved())


def test_without_a_window_sales_go_on_until_the_event_ends() -> None:
    scenario = given(created())
    scenario.when(ANNS.reserve(), at=END).then_refused(EventEnded())
    anns = ANNS._replace(held_at=END - INSTANT)
    scenario.when(anns.reserve(), at=END - INSTANT).then(anns.reserved())


def test_the_window_and_the_end_are_those_in_force() -> None:
    given(created(sales_open_at=DOORS), window_changed()).when(ANNS.reserve()).then(ANNS.reserved())
    given(created(), window_changed(sales_open_at=DOORS)).when(ANNS.reserve()).then_refused(SalesNotOpen(DOORS))
    prolonged = given(created(), details_changed(ends_at=after(hours=12)))
    anns = ANNS._replace(held_at=END)
    prolonged.when(anns.reserve(), at=END).then(anns.reserved())


@pytest.mark.parametrize("quantity", [1, 4])
def test_a_refusal_leaves_all_tickets_for_the_next(quantity: int) -> None:
    anns = ANNS._replace(quantity=quantity)
    scenario = (
        given(created(capacity=4)).when(ANNS._replace(quantity=5).reserve()).then_refused(LimitPerBuyer(4, 0, None))
    )
    scenario.when(anns.reserve()).then(anns.reserved())
    event = scenario.event(CONCERT)
    assert event is not None
    assert event.tickets_of(ANN) == quantity
