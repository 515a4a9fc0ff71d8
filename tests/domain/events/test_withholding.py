"""An organiser takes tickets out of sale and puts them back; held, sold and withheld never exceed the capacity."""

import pytest

from domain.due_holds import MOST_DUE_HOLDS, TooManyDueHolds
from domain.errors import (
    CapacityBelowTaken,
    ChangedMeanwhile,
    EventEnded,
    EventIsCancelled,
    EventNotFound,
    IdempotencyKeyReused,
    NotTheOrganiser,
    SoldOut,
    TicketTypeNotFound,
    TicketTypeRequired,
    TooFewToWithhold,
    TooFewWithheld,
)
from domain.ticketed_event import REMEMBERED_CHANGES
from tests.domain.builders import (
    ADMIN,
    ANN,
    CONCERT,
    END,
    HOLD_OVER,
    INSTANT,
    LATER_REQUEST,
    NOON,
    SEATED,
    SEATED_ID,
    STANDING,
    STANDING_ID,
    UNKNOWN_TYPE_ID,
    cancel_event,
    capacity_changed,
    change,
    created,
    event_cancelled,
    key,
    return_tickets,
    returned,
    withheld,
    withhold,
)
from tests.domain.given_when_then import Scenario, given
from tests.domain.purchase import ANNS, BOBS, CLEOS

BOTH_TYPES = (STANDING, SEATED)


def counts(scenario: Scenario) -> tuple[int, int, int]:
    """Capacity, withheld and available of the standing tickets."""
    event = scenario.event(CONCERT)
    assert event is not None
    stock = event.stock[STANDING_ID]
    return stock.capacity, stock.withheld, stock.available


def test_withheld_tickets_are_out_of_sale_until_they_are_returned() -> None:
    scenario = given(created(capacity=2)).when(withhold(2)).then(withheld(2))
    assert counts(scenario) == (2, 2, 0)
    scenario.when(ANNS.reserve()).then_refused(SoldOut(available=0))
    scenario = scenario.when(return_tickets(1, request_id=LATER_REQUEST)).then(returned(1))
    assert counts(scenario) == (2, 1, 1)
    scenario = scenario.when(ANNS.reserve()).then(ANNS.reserved())
    scenario.when(BOBS.reserve()).then_refused(SoldOut(available=0, next_hold_ends_at=HOLD_OVER))


def test_no_more_are_withheld_than_are_left() -> None:
    scenario = given(created(capacity=5), ANNS.reserved(), BOBS.reserved(), BOBS.paid(), withheld(1))
    scenario.when(withhold(3)).then_refused(TooFewToWithhold(STANDING_ID, 2, HOLD_OVER))
    scenario.when(withhold(2)).then(withheld(2))


def test_no_more_are_returned_than_are_withheld() -> None:
    given(created()).when(return_tickets(1)).then_refused(TooFewWithheld(STANDING_ID, 0))
    scenario = given(created(), withheld(3), returned(1))
    scenario.when(return_tickets(3)).then_refused(TooFewWithheld(STANDING_ID, 2))
    scenario.when(return_tickets(2)).then(returned(2))


def test_unpaid_tickets_are_told_of_only_where_they_would_be_enough() -> None:
    scenario = given(created(capacity=5), ANNS.reserved(), BOBS.reserved(), BOBS.paid())
    scenario.when(withhold(4)).then_refused(TooFewToWithhold(STANDING_ID, 3, HOLD_OVER))
    scenario.when(withhold(5)).then_refused(TooFewToWithhold(STANDING_ID, 3))


def test_holds_that_are_over_are_taken_back_as_far_as_they_are_needed() -> None:
    scenario = given(created(capacity=3), ANNS.reserved(), BOBS.reserved(), CLEOS.reserved())
    scenario.when(withhold(1), at=HOLD_OVER - INSTANT).then_refused(TooFewToWithhold(STANDING_ID, 0, HOLD_OVER))
    scenario.when(withhold(4), at=HOLD_OVER).then_refused(TooFewToWithhold(STANDING_ID, 3))
    scenario.when(withhold(2), at=HOLD_OVER).then(ANNS.expired(), BOBS.expired(), withheld(2, HOLD_OVER))


def test_more_due_holds_than_one_command_takes_back_come_first() -> None:
    purchases = [ANNS._replace(reservation_id=type(CONCERT)(int=0x1000 + n)) for n in range(MOST_DUE_HOLDS + 1)]
    facts = [purchase.reserved() for purchase in purchases]
    scenario = given(created(capacity=len(purchases), max_per_buyer=len(purchases)), *facts)
    with pytest.raises(TooManyDueHolds):
        scenario.when(withhold(len(purchases)), at=HOLD_OVER)


def test_the_capacity_can_not_fall_below_what_is_taken_and_withheld() -> None:
    scenario = given(created(), ANNS.reserved(), withheld(3))
    scenario.when(change(total_tickets=3)).then_refused(CapacityBelowTaken(STANDING_ID, 4))
    scenario = scenario.when(change(total_tickets=4)).then(capacity_changed(4))
    assert counts(scenario) == (4, 3, 0)


def test_a_lower_capacity_takes_back_due_holds_beside_what_is_withheld() -> None:
    scenario = given(created(), ANNS.reserved(), BOBS.reserved(), withheld(3))
    scenario.when(change(total_tickets=4), at=HOLD_OVER).then(ANNS.expired(), capacity_changed(4, HOLD_OVER))


def test_a_higher_capacity_is_on_sale_and_what_is_withheld_stays_so() -> None:
    scenario = given(created(capacity=3), withheld(3)).when(change(total_tickets=5)).then(capacity_changed(5))
    assert counts(scenario) == (5, 3, 2)


def test_the_ticket_type_is_named_where_there_are_several() -> None:
    scenario = given(created(ticket_types=BOTH_TYPES))
    for command in (withhold(1), return_tickets(1)):
        scenario.when(command).then_refused(TicketTypeRequired())
    for command in (withhold(1, ticket_type_id=UNKNOWN_TYPE_ID), return_tickets(1, ticket_type_id=UNKNOWN_TYPE_ID)):
        scenario.when(command).then_refused(TicketTypeNotFound())
    scenario = scenario.when(withhold(5, ticket_type_id=SEATED_ID)).then(withheld(5, ticket_type_id=SEATED_ID))
    assert counts(scenario) == (10, 0, 10)


def test_the_organiser_and_an_admin_may_and_nobody_else() -> None:
    scenario = given(created(), withheld(2))
    for command in (withhold(1, ANN), return_tickets(1, ANN)):
        scenario.when(command).then_refused(NotTheOrganiser())
    for command in (withhold(1, ADMIN), return_tickets(1, ADMIN)):
        assert len(scenario.when(command).decision.domain_events) == 1


def test_it_is_over_with_the_event() -> None:
    for command in (withhold(1), return_tickets(1)):
        given().when(command).then_refused(EventNotFound())
        given(created(), withheld(1)).when(command, at=END).then_refused(EventEnded())
        given(created(), withheld(1), event_cancelled()).when(command).then_refused(EventIsCancelled())


def test_what_is_cancelled_is_for_sale_again_and_not_withheld() -> None:
    scenario = given(created(capacity=2), withheld(1), ANNS.reserved(), ANNS.revoked())
    assert counts(scenario) == (2, 1, 1)


def test_another_edition_may_be_demanded() -> None:
    scenario = given(created(), ANNS.reserved(), withheld(1))
    scenario.when(withhold(1, editions=frozenset({1}))).then_refused(ChangedMeanwhile(3))
    scenario.when(return_tickets(1, editions=frozenset({3}))).then(returned(1))


@pytest.mark.parametrize("command", [withhold, return_tickets])
def test_a_key_counts_once_whatever_came_in_between(command: object) -> None:
    asked = command(2, idempotency=key("two"))  # type: ignore[operator]
    scenario = given(created(), withheld(5))
    scenario.record(scenario.when(asked).decision.domain_events)
    scenario.record(scenario.numbered(withheld(1), ANNS.reserved(), capacity_changed(20)))
    for at in (NOON, END):
        assert not scenario.when(asked, at=at).then_nothing_new().replayed
    again = scenario.when(command(2, idempotency=key("two"), request_id=LATER_REQUEST), at=END)  # type: ignore[operator]
    decision = again.then_nothing_new()
    assert decision.replayed
    event = scenario.event(CONCERT)
    assert event is not None
    assert (decision.answer, decision.version) == (event.record, event.version)
    other = command(3, idempotency=key("two", "three"), request_id=LATER_REQUEST)  # type: ignore[operator]
    scenario.when(other).then_refused(IdempotencyKeyReused())


def test_without_a_key_another_request_is_another_one() -> None:
    scenario = given(created(capacity=3)).when(withhold(1)).then(withheld(1))
    scenario.when(withhold(1, request_id=LATER_REQUEST)).then(withheld(1))


def test_the_keys_of_the_latest_changes_are_remembered() -> None:
    steps = [withheld(1, idempotency=key(f"{n}")) for n in range(REMEMBERED_CHANGES + 1)]
    scenario = given(created(capacity=500), *steps)
    scenario.when(withhold(1, idempotency=key("1"))).then_nothing_new()
    assert scenario.when(withhold(1, idempotency=key("0"))).decision.domain_events


def test_the_key_of_a_withholding_is_none_of_the_cancellation() -> None:
    scenario = given(created(), withheld(1, idempotency=key("w")))
    scenario.when(cancel_event(idempotency=key("c"))).then(event_cancelled(idempotency=key("c")))
