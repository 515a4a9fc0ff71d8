"""What an organiser saw last may be named: then a change is made of that edition, or not at all."""

import pytest
from msgspec.structs import replace

from domain.errors import ChangedMeanwhile, EventNotFound, NotTheOrganiser
from tests.domain.builders import (
    ADMIN,
    ANN,
    END,
    LATER_REQUEST,
    cancel_event,
    capacity_changed,
    change,
    created,
    details_changed,
    event_cancelled,
    key,
    limits_changed,
    window_changed,
)
from tests.domain.given_when_then import Step, given
from tests.domain.purchase import ANNS, BOBS

FIRST, SECOND = frozenset({1}), frozenset({2})


def edition_after(*steps: Step) -> int:
    event = given(created(), *steps).event(created().originator_id)
    assert event is not None
    return event.record.edition


@pytest.mark.parametrize(
    "step", [details_changed(), capacity_changed(3), window_changed(), limits_changed(), event_cancelled()]
)
def test_each_change_by_the_organiser_makes_another_edition(step: Step) -> None:
    assert edition_after() == 1
    assert edition_after(step) == 2
    assert edition_after(ANNS.reserved(), step, ANNS.cancelled()) == 3


def test_sales_do_not() -> None:
    assert edition_after(ANNS.reserved(), ANNS.paid(), BOBS.reserved(), BOBS.revoked()) == 1


def test_of_the_edition_that_it_is_meant_for_an_event_is_changed_and_cancelled() -> None:
    scenario = given(created(), ANNS.reserved()).when(change(city="Bruges", editions=FIRST))
    scenario = scenario.then(details_changed(city="Bruges"))
    scenario.when(cancel_event(editions=frozenset({7, 3}))).then(event_cancelled())


@pytest.mark.parametrize("editions", [SECOND, frozenset()])
def test_of_another_one_it_is_not(editions: frozenset[int]) -> None:
    for command in (change(city="Bruges"), change(), cancel_event()):
        given(created()).when(replace(command, editions=editions)).then_refused(ChangedMeanwhile(1))


def test_of_two_that_were_meant_for_one_edition_the_second_is_refused() -> None:
    scenario = given(created()).when(change(city="Bruges", editions=FIRST)).then(details_changed(city="Bruges"))
    second = change(by=ADMIN, title="Night of Brass", editions=FIRST, request_id=LATER_REQUEST)
    scenario.when(second).then_refused(ChangedMeanwhile(2))


def test_whose_event_it_is_comes_first_and_how_it_stands_comes_later() -> None:
    given().when(change(editions=SECOND)).then_refused(EventNotFound())
    given(created()).when(change(by=ANN, editions=SECOND)).then_refused(NotTheOrganiser())
    scenario = given(created(), event_cancelled())
    for command in (change(city="Bruges", editions=FIRST), cancel_event(editions=FIRST, request_id=LATER_REQUEST)):
        scenario.when(command, at=END).then_refused(ChangedMeanwhile(2))


def test_what_was_done_already_is_answered_again() -> None:
    asked = change(city="Bruges", editions=FIRST)
    scenario = given(created()).when(asked).then(details_changed(city="Bruges"))
    scenario.when(asked).then_nothing_new()
    off = cancel_event(editions=SECOND, idempotency=key("off"), request_id=LATER_REQUEST)
    scenario = scenario.when(off).then(event_cancelled(idempotency=key("off")))
    assert scenario.when(cancel_event(editions=SECOND, idempotency=key("off"))).then_nothing_new().replayed
