"""An organiser adds a ticket type and changes a price; what is reserved keeps its amount."""

import pytest
from msgspec.structs import replace

from domain.errors import (
    ChangedMeanwhile,
    EventEnded,
    EventIsCancelled,
    EventNotFound,
    IdempotencyKeyReused,
    InvalidRequest,
    NotTheOrganiser,
    TicketTypeNotFound,
    TicketTypeRequired,
)
from domain.inventory import MOST_TICKET_TYPES, TicketType
from domain.ticketed_event import REMEMBERED_CHANGES
from tests.domain.builders import (
    ADMIN,
    ANN,
    CONCERT,
    END,
    LATER_REQUEST,
    SEATED,
    SEATED_ID,
    STANDING,
    STANDING_ID,
    UNKNOWN_TYPE_ID,
    add_type,
    capacity_changed,
    change,
    created,
    event_cancelled,
    key,
    limits_changed,
    price_changed,
    type_added,
    withheld,
    withhold,
)
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS

TAKEN = InvalidRequest("name", "must not be that of another ticket type, nor look the same")
CHEAP = replace(STANDING, amount_minor=100)
FREE = TicketType(ticket_type_id=STANDING_ID, name="Standing", capacity=10, amount_minor=0, currency="XXX")


def named(name: str, number: int = 0x77) -> TicketType:
    return replace(SEATED, ticket_type_id=type(CONCERT)(int=number), name=name)


def test_a_type_is_added_behind_the_others_and_is_on_sale() -> None:
    scenario = given(created(), ANNS.reserved()).when(add_type()).then(type_added())
    seated = BOBS._replace(ticket_type=SEATED)
    scenario = scenario.when(seated.reserve()).then(seated.reserved())
    unnamed = BOBS._replace(reservation_id=type(CONCERT)(int=0x109)).reserve(ticket_type_id=None)
    scenario.when(unnamed).then_refused(TicketTypeRequired())
    scenario.when(add_type(named("Gallery"), request_id=LATER_REQUEST)).then(type_added(named("Gallery"), 3))


def test_an_added_type_is_changed_and_withheld_like_the_others() -> None:
    scenario = given(created(), type_added())
    scenario = scenario.when(change(capacities={SEATED_ID: 9}, prices={SEATED_ID: 5})).then(
        capacity_changed(9, ticket_type_id=SEATED_ID), price_changed(5, ticket_type_id=SEATED_ID)
    )
    asked = withhold(9, ticket_type_id=SEATED_ID, request_id=LATER_REQUEST)
    scenario.when(asked).then(withheld(9, ticket_type_id=SEATED_ID))


@pytest.mark.parametrize("name", ["Standing", "STANDING", " stan\u200cding ", "\uff33tanding"])
def test_a_name_that_looks_like_another_types_is_refused(name: str) -> None:
    given(created()).when(add_type(named(name))).then_refused(TAKEN)
    given(created(), type_added()).when(add_type(named("SEATED"))).then_refused(TAKEN)


def test_there_are_so_many_types_at_the_most() -> None:
    offers = tuple(named(f"Row {n}", 0x1000 + n) for n in range(MOST_TICKET_TYPES))
    scenario = given(created(ticket_types=offers[1:]))
    scenario = scenario.when(add_type(offers[0])).then(type_added(offers[0], MOST_TICKET_TYPES))
    scenario.when(add_type(request_id=LATER_REQUEST)).then_refused(
        InvalidRequest("ticket_types", "must not be more than 100")
    )


def test_the_organiser_and_an_admin_may_and_nobody_else_while_the_event_goes_on() -> None:
    given(created()).when(add_type(by=ANN)).then_refused(NotTheOrganiser())
    assert len(given(created()).when(add_type(by=ADMIN)).decision.domain_events) == 1
    given().when(add_type()).then_refused(EventNotFound())
    given(created()).when(add_type(), at=END).then_refused(EventEnded())
    given(created(), event_cancelled()).when(add_type()).then_refused(EventIsCancelled())
    given(created(), limits_changed(max_per_buyer=9)).when(add_type(editions=frozenset({1}))).then_refused(
        ChangedMeanwhile(2)
    )


def test_with_a_key_a_type_is_added_once_also_when_the_key_is_long_forgotten() -> None:
    asked = add_type(idempotency=key("seated"))
    scenario = given(created()).when(asked).then(type_added(idempotency=key("seated")))
    again = replace(asked, request_id=LATER_REQUEST)
    assert scenario.when(again, at=END).then_nothing_new().replayed
    other = replace(again, idempotency=key("seated", "another body"))
    scenario.when(other).then_refused(IdempotencyKeyReused())
    later = [withheld(1, idempotency=key(f"{n}")) for n in range(REMEMBERED_CHANGES)]
    scenario = given(created(capacity=500), type_added(idempotency=key("seated")), *later)
    assert scenario.when(again).then_nothing_new().replayed
    box = replace(again, ticket_type=replace(again.ticket_type, name="Box"))
    scenario.when(box).then_refused(IdempotencyKeyReused())


def test_a_new_price_is_for_reservations_to_come() -> None:
    scenario = given(created(), ANNS.reserved()).when(change(prices={STANDING_ID: 100})).then(price_changed(100))
    bobs = BOBS._replace(ticket_type=CHEAP, quantity=2)
    scenario = scenario.when(bobs.reserve()).then(bobs.reserved())
    assert bobs.amount_minor == 200
    scenario = scenario.when(ANNS.pay()).then(ANNS.paid())
    scenario = scenario.when(ANNS.cancel()).then(ANNS.cancelled(refund_due_minor=2500))
    scenario.when(bobs.pay()).then(bobs.paid())


def test_an_equal_price_records_nothing() -> None:
    given(created()).when(change(prices={STANDING_ID: 2500})).then_nothing_new()
    given(created(), price_changed(1)).when(change(prices={STANDING_ID: 1})).then_nothing_new()


def test_a_price_and_all_else_change_together_or_not_at_all() -> None:
    scenario = given(created(ticket_types=(STANDING, SEATED)))
    asked = change(max_per_buyer=2, capacities={STANDING_ID: 3}, prices={SEATED_ID: 0, STANDING_ID: 7})
    scenario.when(asked).then(
        limits_changed(max_per_buyer=2),
        capacity_changed(3),
        price_changed(0, ticket_type_id=SEATED_ID),
        price_changed(7),
    )
    scenario = given(created())
    scenario.when(change(max_per_buyer=2, prices={UNKNOWN_TYPE_ID: 7})).then_refused(TicketTypeNotFound())


def test_a_type_without_a_currency_stays_free() -> None:
    refusal = InvalidRequest("amount_minor", "must be 0, since the ticket type has no currency")
    given(created(ticket_types=(FREE,))).when(change(prices={STANDING_ID: 1})).then_refused(refusal)
    given(created(ticket_types=(FREE,))).when(change(prices={STANDING_ID: 0})).then_nothing_new()
