"""An organiser puts an event on the programme."""

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from domain.commands import Actor
from domain.errors import EventExists, InvalidRequest
from domain.event_facts import SalesWindow
from domain.organising import new_name
from tests.domain.builders import (
    ANN,
    CONCERT,
    DETAILS,
    DOORS,
    END,
    INSTANT,
    NOON,
    ORGANISER,
    OTHER_CONCERT,
    SEATED,
    STANDING,
    YESTERDAY,
    after,
    create,
    created,
    details_changed,
    key,
    window_changed,
)
from tests.domain.given_when_then import given

INVALID_TIMES: list[tuple[dict[str, datetime], tuple[str, str]]] = [
    ({"starts_at": END}, ("ends_at", "must be later than starts_at")),
    ({"starts_at": END + INSTANT}, ("ends_at", "must be later than starts_at")),
    ({"sales_close_at": END + INSTANT}, ("sales_close_at", "must not be later than ends_at")),
    ({"sales_open_at": END}, ("sales_open_at", "must be earlier than the close of sales")),
    (
        {"sales_open_at": DOORS, "sales_close_at": DOORS},
        ("sales_open_at", "must be earlier than the close of sales"),
    ),
]


def with_times(**times: Any) -> dict[str, Any]:
    window = {name: times.pop(name, None) for name in ("sales_open_at", "sales_close_at")}
    return {"details": replace(DETAILS, **times), "sales_window": SalesWindow(**window)}


def test_an_event_is_created_as_it_was_asked_for() -> None:
    given().when(create(), at=NOON).then(created(NOON))


def test_all_that_was_asked_for_is_recorded() -> None:
    asked = create(
        ticket_types=(STANDING, SEATED),
        idempotency=key("first"),
        **with_times(description="Brass too", sales_open_at=NOON, sales_close_at=END),
    )
    given().when(asked, at=NOON).then(
        created(
            NOON,
            ticket_types=(STANDING, SEATED),
            description="Brass too",
            sales_open_at=NOON,
            sales_close_at=END,
            idempotency=key("first"),
        )
    )


def test_the_organiser_is_the_account_that_asks() -> None:
    given().when(create(actor=Actor(ANN)), at=NOON).then(created(NOON, organiser=ANN))


def test_an_event_starts_in_the_future() -> None:
    in_the_past = InvalidRequest("starts_at", "must lie in the future")
    given().when(create(), at=DOORS).then_refused(in_the_past)
    given().when(create(), at=DOORS - INSTANT).then(created(DOORS - INSTANT))


@pytest.mark.parametrize(("times", "why"), INVALID_TIMES)
def test_times_must_follow_each_other(times: dict[str, datetime], why: tuple[str, str]) -> None:
    given().when(create(**with_times(**times)), at=NOON).then_refused(InvalidRequest(*why))


def test_sales_may_close_with_the_event_and_open_until_just_before() -> None:
    to_the_last = with_times(sales_open_at=END - INSTANT, sales_close_at=END)
    given().when(create(**to_the_last), at=NOON).then(created(NOON, sales_open_at=END - INSTANT, sales_close_at=END))


def test_sales_may_open_at_once_and_close_before_the_event() -> None:
    given().when(create(**with_times(sales_close_at=DOORS)), at=NOON).then(created(NOON, sales_close_at=DOORS))


def test_a_name_that_is_taken_is_refused_with_the_event_that_has_it() -> None:
    given().when(create(), at=NOON, name_holder_id=OTHER_CONCERT).then_refused(EventExists(OTHER_CONCERT))


def test_the_name_is_organiser_start_and_title_without_case_and_outer_space() -> None:
    name = new_name(create(), None)
    assert new_name(create(details=replace(DETAILS, title="  night of STRINGS ")), None) == name
    composed, decomposed = ["Soir\u00e9e", "soire\u0301e"]
    soirees = {new_name(create(details=replace(DETAILS, title=title)), None) for title in (composed, decomposed)}
    assert len(soirees) == 1
    assert new_name(create(details=replace(DETAILS, ends_at=END + INSTANT, city="Bruges")), None) == name
    assert new_name(create(event_id=OTHER_CONCERT, ticket_types=(SEATED,)), None) == name

    assert new_name(create(details=replace(DETAILS, title="Night of Brass")), None) != name
    assert new_name(create(details=replace(DETAILS, starts_at=DOORS + INSTANT)), None) != name
    assert new_name(create(actor=Actor(ANN)), None) != name


def test_an_event_tells_what_it_offers() -> None:
    event = given(created(ticket_types=(STANDING, SEATED))).event(CONCERT)
    assert event is not None
    record = event.record
    assert record.created.organiser_id == ORGANISER
    assert record.details == DETAILS
    assert record.cancelled is None
    assert [(s.offer, s.capacity, s.held, s.sold) for s in record.stock] == [(STANDING, 10, 0, 0), (SEATED, 5, 0, 0)]


def test_an_event_tells_its_latest_details_and_window() -> None:
    event = given(
        created(YESTERDAY), details_changed(NOON, title="Night of Brass"), window_changed(sales_open_at=after(hours=1))
    ).event(CONCERT)
    assert event is not None
    assert event.record.created.details == DETAILS
    assert event.record.details.title == "Night of Brass"
    assert event.record.sales_window == SalesWindow(sales_open_at=after(hours=1))
