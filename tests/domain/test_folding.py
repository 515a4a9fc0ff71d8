"""State is folded from domain events, which have no rule to refuse by."""

from typing import Any
from uuid import UUID

import pytest
from eventsourcing.domain import OriginatorIDError, OriginatorVersionError
from eventsourcing.utils import get_topic, resolve_topic
from msgspec.structs import replace

from domain.domain_event import Aggregate
from domain.inventory import Buyer, Hold
from domain.reservation import Reservation
from domain.ticketed_event import TicketedEvent
from tests.domain.builders import (
    ANN,
    BOB,
    CONCERT,
    DOORS,
    END,
    HOLD_OVER,
    NOON,
    SEATED,
    SEATED_ID,
    STANDING,
    STANDING_ID,
    YESTERDAY,
    after,
    capacity_changed,
    created,
    details_changed,
    event_cancelled,
    limits_changed,
    window_changed,
)
from tests.domain.given_when_then import Step, given
from tests.domain.purchase import ANNS, BOBS, CLEOS

BOTH_TYPES = (STANDING, SEATED)


def event_after(*steps: Step) -> TicketedEvent:
    event = given(*steps).event(CONCERT)
    assert event is not None
    return event


def stock_of(event: TicketedEvent, ticket_type_id: UUID = STANDING_ID) -> tuple[int, int, int, int]:
    stock = event.stock[ticket_type_id]
    return stock.capacity, stock.held, stock.sold, stock.available


def test_the_stock_follows_each_step_of_a_reservation() -> None:
    anns = ANNS._replace(quantity=3)
    assert stock_of(event_after(created(), anns.reserved())) == (10, 3, 0, 7)
    assert stock_of(event_after(created(), anns.reserved(), anns.expired())) == (10, 0, 0, 10)
    assert stock_of(event_after(created(), anns.reserved(), anns.cancelled())) == (10, 0, 0, 10)
    assert stock_of(event_after(created(), anns.reserved(), anns.paid())) == (10, 0, 3, 7)
    paid_and_returned = event_after(created(), anns.reserved(), anns.paid(), anns.cancelled(refund_due_minor=7500))
    assert stock_of(paid_and_returned) == (10, 0, 0, 10)


def test_each_ticket_type_has_a_stock_of_its_own() -> None:
    seated = BOBS._replace(ticket_type=SEATED, quantity=2)
    event = event_after(created(ticket_types=BOTH_TYPES), ANNS.reserved(), seated.reserved(), seated.paid())
    assert stock_of(event, STANDING_ID) == (10, 1, 0, 9)
    assert stock_of(event, SEATED_ID) == (5, 0, 2, 3)


def test_open_holds_are_kept_in_the_order_of_their_deadlines() -> None:
    late, early = ANNS._replace(held_at=after(seconds=9)), BOBS._replace(held_at=after(seconds=1))
    event = event_after(created(), late.reserved(), early.reserved(), CLEOS.reserved(), CLEOS.paid())
    assert event.holds == {
        ANNS.reservation_id: Hold(ANN, STANDING_ID, 1, late.hold_expires_at),
        BOBS.reservation_id: Hold(BOB, STANDING_ID, 1, early.hold_expires_at),
    }
    deadlines = list(event.stock[STANDING_ID].deadlines)
    assert deadlines == [
        (early.hold_expires_at, BOBS.reservation_id),
        (late.hold_expires_at, ANNS.reservation_id),
    ]


def test_a_buyer_is_known_while_they_have_tickets() -> None:
    second = ANNS._replace(reservation_id=UUID(int=0x201), quantity=2)
    scenario = given(created(), ANNS.reserved(), second.reserved())
    event = event_after(created(), ANNS.reserved(), second.reserved())
    assert event.buyers == {ANN: Buyer(3, {ANNS.reservation_id: None, second.reservation_id: None}, None)}

    scenario.record(scenario.numbered(ANNS.paid()))
    assert scenario.aggregates[CONCERT].buyers == {ANN: Buyer(3, {second.reservation_id: None}, ANNS.reservation_id)}
    scenario.record(scenario.numbered(second.expired()))
    assert scenario.aggregates[CONCERT].buyers == {ANN: Buyer(1, {}, ANNS.reservation_id)}
    scenario.record(scenario.numbered(ANNS.cancelled(HOLD_OVER, refund_due_minor=2500)))
    assert scenario.aggregates[CONCERT].buyers == {}


def test_a_returned_reservation_is_no_longer_the_one_paid_last() -> None:
    second = ANNS._replace(reservation_id=UUID(int=0x201))
    scenario = given(created(), ANNS.reserved(), second.reserved(), ANNS.paid(), second.paid())
    assert scenario.aggregates[CONCERT].buyers[ANN].paid_reservation_id == second.reservation_id
    scenario.record(scenario.numbered(second.cancelled(refund_due_minor=2500)))
    assert scenario.aggregates[CONCERT].buyers == {ANN: Buyer(1, {}, None)}


def test_nothing_is_kept_of_past_reservations() -> None:
    fresh = event_after(created())
    used = event_after(
        created(),
        *(ANNS.reserved(), ANNS.expired(NOON)),
        *(BOBS.reserved(), BOBS.cancelled(NOON)),
        *(CLEOS.reserved(), CLEOS.paid(NOON), CLEOS.cancelled(NOON, refund_due_minor=2500)),
    )
    assert (used.holds, used.buyers) == (fresh.holds, fresh.buyers) == ({}, {})
    assert list(used.stock[STANDING_ID].deadlines) == []
    assert used.record == fresh.record


def test_an_event_has_its_latest_values() -> None:
    event = event_after(
        created(ticket_types=BOTH_TYPES),
        details_changed(title="Night of Brass", ends_at=after(hours=12)),
        window_changed(sales_close_at=DOORS),
        limits_changed(max_per_buyer=2, hold_seconds=60),
        capacity_changed(6, ticket_type_id=SEATED_ID),
    )
    assert (event.details.title, event.ends_at) == ("Night of Brass", after(hours=12))
    assert (event.sales_window.sales_open_at, event.sales_window.sales_close_at) == (None, DOORS)
    assert (event.limits.max_per_buyer, event.limits.hold_seconds) == (2, 60)
    assert (stock_of(event), stock_of(event, SEATED_ID)) == ((10, 0, 0, 10), (6, 0, 0, 6))
    assert event.cancelled is None
    assert event_after(created(), event_cancelled()).cancelled is not None


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([], "reserved"),
        ([ANNS.paid()], "paid"),
        ([ANNS.expired()], "expired"),
        ([ANNS.cancelled()], "cancelled"),
        ([ANNS.withdrawn()], "cancelled"),
        ([ANNS.paid(), ANNS.cancelled(refund_due_minor=2500)], "cancelled"),
    ],
)
def test_a_reservation_has_the_status_of_its_last_step(steps: list[Any], status: str) -> None:
    reservation = given(created(), ANNS.reserved(), *steps).aggregates[ANNS.reservation_id]
    assert isinstance(reservation, Reservation)
    assert reservation.status == status


def test_what_todays_rules_refuse_still_folds() -> None:
    """Rules change; what was recorded under other rules still has to load."""
    too_many = ANNS._replace(quantity=20)
    event = event_after(
        created(sales_open_at=DOORS, sales_close_at=YESTERDAY, max_per_buyer=1),
        event_cancelled(),
        too_many.reserved(),
        too_many.paid(END),
        capacity_changed(3, END),
        details_changed(END, starts_at=END, ends_at=YESTERDAY),
        limits_changed(END, max_per_buyer=0, hold_seconds=-1),
    )
    assert stock_of(event) == (3, 0, 20, -17)
    early = given(created(), BOBS.reserved(), BOBS.expired(YESTERDAY))
    assert early.aggregates[BOBS.reservation_id].status == "expired"


def test_a_fold_belongs_to_its_own_stream_and_takes_versions_in_order() -> None:
    scenario = given(created())
    event = scenario.aggregates[CONCERT]
    (changed,) = scenario.numbered(capacity_changed(20))
    with pytest.raises(OriginatorVersionError):
        replace(changed, originator_version=3).mutate(event)
    with pytest.raises(OriginatorIDError):
        replace(changed, originator_id=UUID(int=0xE9)).mutate(event)
    assert stock_of(event) == (10, 0, 0, 10)
    assert (event.version, event.modified_on) == (1, YESTERDAY)


def test_an_aggregate_knows_its_version_and_when_it_changed() -> None:
    event = event_after(created(YESTERDAY), capacity_changed(20, NOON), capacity_changed(30, DOORS))
    assert (event.id, event.version, event.created_on, event.modified_on) == (CONCERT, 3, YESTERDAY, DOORS)


def test_a_domain_event_of_another_aggregate_is_a_bug_and_not_a_refusal() -> None:
    scenario = given(created(), ANNS.reserved())
    held, placed = ANNS.reserved()
    with pytest.raises(AssertionError):
        scenario.aggregates[CONCERT].apply(placed)
    with pytest.raises(AssertionError):
        scenario.aggregates[ANNS.reservation_id].apply(held)


@pytest.mark.parametrize("aggregate", [TicketedEvent, Reservation])
def test_aggregates_are_known_to_the_library_by_short_names(aggregate: type[Aggregate]) -> None:
    assert get_topic(aggregate) == aggregate.__name__
    assert resolve_topic(aggregate.__name__) is aggregate
