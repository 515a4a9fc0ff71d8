"""An organiser changes details, sales window, limits and capacities."""

from typing import Any

import pytest

from domain.errors import (
    CapacityBelowTaken,
    EventEnded,
    EventExists,
    EventIsCancelled,
    EventNotFound,
    InvalidRequest,
    NotTheOrganiser,
    TicketTypeNotFound,
    TicketTypeRequired,
)
from domain.organising import name_of, new_name
from tests.domain.builders import (
    ADMIN,
    ANN,
    BOB,
    CONCERT,
    DETAILS,
    DOORS,
    END,
    HOLD_OVER,
    INSTANT,
    NOON,
    ORGANISER,
    OTHER_CONCERT,
    SEATED,
    SEATED_ID,
    STANDING,
    STANDING_ID,
    UNKNOWN_TYPE_ID,
    after,
    capacity_changed,
    change,
    created,
    details_changed,
    event_cancelled,
    limits_changed,
    window_changed,
)
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS, CLEOS

BOTH_TYPES = (STANDING, SEATED)


def test_only_what_is_named_changes() -> None:
    given(created()).when(change(title="Night of Brass")).then(details_changed(title="Night of Brass"))
    given(created()).when(change(sales_open_at=DOORS)).then(window_changed(sales_open_at=DOORS))
    given(created()).when(change(hold_seconds=300)).then(limits_changed(hold_seconds=300))
    given(created()).when(change(total_tickets=12)).then(capacity_changed(12))


def test_all_changes_of_one_request_are_recorded_together() -> None:
    asked = change(city="Bruges", ends_at=after(hours=12), sales_close_at=DOORS, max_per_buyer=2, total_tickets=20)
    given(created()).when(asked).then(
        details_changed(city="Bruges", ends_at=after(hours=12)),
        window_changed(sales_close_at=DOORS),
        limits_changed(max_per_buyer=2),
        capacity_changed(20),
    )


def test_equal_values_record_nothing() -> None:
    same = change(title=DETAILS.title, starts_at=DOORS, sales_open_at=None, max_per_buyer=4, total_tickets=10)
    decision = given(created()).when(same).then_nothing_new()
    event = given(created()).event(CONCERT)
    assert event is not None
    assert decision.answer == event.record
    assert (decision.stream_id, decision.version) == (CONCERT, 1)


def test_an_empty_change_records_nothing() -> None:
    given(created()).when(change()).then_nothing_new()


def test_none_clears_what_may_be_absent() -> None:
    given(created(sales_open_at=DOORS)).when(change(sales_open_at=None, city=None)).then(
        details_changed(city=None), window_changed()
    )


def test_the_organiser_and_an_admin_may_change_an_event_and_nobody_else() -> None:
    given(created()).when(change(by=ORGANISER, total_tickets=11)).then(capacity_changed(11))
    given(created()).when(change(by=ANN, total_tickets=11)).then_refused(NotTheOrganiser())
    admins = given(created()).when(change(by=ADMIN, total_tickets=11)).decision.domain_events
    assert [domain_event.actor_id for domain_event in admins] == [str(ADMIN)]


def test_an_event_that_is_not_there_cannot_be_changed() -> None:
    given().when(change(title="Night of Brass")).then_refused(EventNotFound())


def test_a_cancelled_event_cannot_be_changed() -> None:
    given(created(), event_cancelled()).when(change(title="Night of Brass")).then_refused(EventIsCancelled())


def test_an_event_can_be_changed_until_it_ends() -> None:
    given(created()).when(change(city="Bruges"), at=END).then_refused(EventEnded())
    given(created()).when(change(city="Bruges"), at=END - INSTANT).then(details_changed(END - INSTANT, city="Bruges"))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ends_at": DOORS}, ("ends_at", "must be later than starts_at")),
        ({"starts_at": END}, ("ends_at", "must be later than starts_at")),
        ({"sales_close_at": END + INSTANT}, ("sales_close_at", "must not be later than ends_at")),
        ({"sales_open_at": END}, ("sales_open_at", "must be earlier than the close of sales")),
        (
            {"sales_open_at": DOORS, "sales_close_at": DOORS},
            ("sales_open_at", "must be earlier than the close of sales"),
        ),
        ({"starts_at": NOON}, ("starts_at", "must lie in the future")),
    ],
)
def test_changed_times_must_follow_each_other(changes: dict[str, Any], why: tuple[str, str]) -> None:
    given(created()).when(change(**changes), at=NOON).then_refused(InvalidRequest(*why))


def test_an_end_cannot_move_before_the_close_of_sales_that_stays() -> None:
    scenario = given(created(sales_close_at=END))
    refusal = InvalidRequest("sales_close_at", "must not be later than ends_at")
    scenario.when(change(ends_at=END - INSTANT)).then_refused(refusal)


def test_a_running_event_keeps_its_start_and_may_be_prolonged() -> None:
    running = after(hours=9)
    given(created()).when(change(starts_at=DOORS, ends_at=after(hours=12)), at=running).then(
        details_changed(running, ends_at=after(hours=12))
    )


def test_a_running_event_cannot_be_made_to_have_ended() -> None:
    running = after(hours=9)
    in_the_past = InvalidRequest("ends_at", "must lie in the future")
    given(created()).when(change(ends_at=running), at=running).then_refused(in_the_past)


def test_a_name_that_another_event_has_is_refused() -> None:
    asked = change(title="Night of Brass")
    given(created()).when(asked, name_holder_id=OTHER_CONCERT).then_refused(EventExists(OTHER_CONCERT))
    given(created()).when(asked, name_holder_id=CONCERT).then(details_changed(title="Night of Brass"))


def test_the_name_wanted_is_the_one_after_the_change() -> None:
    event = given(created()).event(CONCERT)
    renamed = details_changed(title="Night of Brass", starts_at=after(hours=9)).details
    assert new_name(change(title=" night of BRASS ", starts_at=after(hours=9)), event) == name_of(ORGANISER, renamed)
    assert new_name(change(by=ADMIN, city="Bruges"), event) is None
    assert new_name(change(title=DETAILS.title.upper()), event) is None
    assert new_name(change(title="Night of Brass"), None) is None


def test_capacities_change_by_ticket_type() -> None:
    given(created(ticket_types=BOTH_TYPES)).when(change(capacities={SEATED_ID: 6, STANDING_ID: 10})).then(
        capacity_changed(6, ticket_type_id=SEATED_ID)
    )


def test_total_tickets_needs_an_event_of_one_ticket_type() -> None:
    given(created(ticket_types=BOTH_TYPES)).when(change(total_tickets=20)).then_refused(TicketTypeRequired())


def test_the_capacity_of_an_unknown_ticket_type_is_refused() -> None:
    asked = change(capacities={UNKNOWN_TYPE_ID: 5})
    given(created(ticket_types=BOTH_TYPES)).when(asked).then_refused(TicketTypeNotFound())


def test_capacity_goes_down_to_what_is_held_and_sold_and_no_further() -> None:
    scenario = given(created(), ANNS._replace(quantity=2).reserved(), BOBS.reserved(), ANNS._replace(quantity=2).paid())
    scenario.when(change(total_tickets=2)).then_refused(CapacityBelowTaken(STANDING_ID, 3))
    scenario.when(change(total_tickets=3)).then(capacity_changed(3))


def test_one_impossible_capacity_refuses_the_whole_change() -> None:
    seated = ANNS._replace(ticket_type=SEATED, quantity=3)
    asked = change(title="Night of Brass", capacities={STANDING_ID: 20, SEATED_ID: 2})
    scenario = given(created(ticket_types=BOTH_TYPES), seated.reserved())
    scenario.when(asked).then_refused(CapacityBelowTaken(SEATED_ID, 3))


def test_a_lower_capacity_first_takes_back_due_holds_oldest_deadline_first() -> None:
    oldest, next_oldest = BOBS._replace(held_at=after(seconds=1)), ANNS._replace(held_at=after(seconds=2))
    newest = CLEOS._replace(held_at=after(seconds=2))
    scenario = given(created(), oldest.reserved(), next_oldest.reserved(), newest.reserved())
    later = after(minutes=5)
    scenario.when(change(total_tickets=1), at=later).then(
        oldest.expired(later), next_oldest.expired(later), capacity_changed(1, later)
    )


def test_a_lower_capacity_takes_back_no_more_holds_than_it_needs() -> None:
    scenario = given(created(), ANNS.reserved(), BOBS.reserved())
    scenario.when(change(total_tickets=2), at=HOLD_OVER).then(capacity_changed(2, HOLD_OVER))


def test_a_lower_capacity_takes_back_no_hold_of_another_ticket_type() -> None:
    seated, standing = ANNS._replace(ticket_type=SEATED), BOBS._replace(quantity=2)
    scenario = given(created(ticket_types=BOTH_TYPES), seated.reserved(), standing.reserved(), standing.paid())
    asked = change(capacities={STANDING_ID: 1})
    scenario.when(asked, at=HOLD_OVER).then_refused(CapacityBelowTaken(STANDING_ID, 2))


def test_a_refused_capacity_counts_no_due_hold_as_taken() -> None:
    scenario = given(created(), ANNS._replace(quantity=2).reserved(), BOBS.reserved(), BOBS.paid())
    scenario.when(change(total_tickets=0), at=HOLD_OVER).then_refused(CapacityBelowTaken(STANDING_ID, 1))


@pytest.mark.parametrize("limits", [{"max_per_buyer": 1}, {"hold_seconds": 1}])
def test_new_limits_leave_earlier_reservations_alone(limits: dict[str, Any]) -> None:
    anns = ANNS._replace(quantity=3)
    scenario = given(created(), anns.reserved()).when(change(**limits)).then(limits_changed(**limits))
    before_the_deadline = HOLD_OVER - INSTANT
    scenario.when(anns.pay(), at=before_the_deadline).then(anns.paid(before_the_deadline))


def test_new_limits_are_for_later_reservations() -> None:
    scenario = given(created(), limits_changed(hold_seconds=300))
    bobs = BOBS._replace(hold_seconds=300)
    scenario.when(bobs.reserve()).then(bobs.reserved())
    assert bobs.buyer == BOB
