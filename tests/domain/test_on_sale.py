"""Whether an event is on sale, and until when, is told by the rule that reserving goes by."""

from datetime import datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given as drawn

from domain.decision import Decision
from domain.errors import EventEnded, EventIsCancelled, Refusal, SalesClosed, SalesNotOpen, SoldOut
from domain.event_facts import SalesWindow
from domain.on_sale import ALL_ON_SALE, Sale, SaleFacts, sale_at
from tests.domain.builders import (
    DOORS,
    END,
    HOLD_OVER,
    INSTANT,
    NOON,
    after,
    change,
    created,
    event_cancelled,
)
from tests.domain.given_when_then import given
from tests.domain.purchase import ANNS, BOBS

OPENS, CLOSES = after(hours=1), DOORS
FACTS = SaleFacts(False, END, SalesWindow(sales_open_at=OPENS, sales_close_at=CLOSES), 3)
SOLD_OUT = FACTS._replace(available=0)
IN_BETWEEN = after(hours=2)


@pytest.mark.parametrize(
    ("facts", "at", "sale"),
    [
        (FACTS, OPENS - INSTANT, Sale("not-yet", OPENS)),
        (FACTS, OPENS, Sale("now", CLOSES)),
        (FACTS, CLOSES - INSTANT, Sale("now", CLOSES)),
        (FACTS, CLOSES, Sale("closed", END)),
        (FACTS, END - INSTANT, Sale("closed", END)),
        (FACTS, END, Sale("ended", None)),
        (SOLD_OUT, OPENS - INSTANT, Sale("not-yet", OPENS)),
        (SOLD_OUT, OPENS, Sale("sold-out", CLOSES)),
        (SOLD_OUT, CLOSES, Sale("closed", END)),
        (FACTS._replace(sales_window=SalesWindow()), NOON, Sale("now", END)),
        (FACTS._replace(sales_window=SalesWindow(), available=0), NOON, Sale("sold-out", END)),
        (FACTS._replace(is_cancelled=True), OPENS, Sale("cancelled", None)),
        (FACTS._replace(is_cancelled=True), END, Sale("cancelled", None)),
    ],
)
def test_how_a_sale_stands_and_when_that_changes(facts: SaleFacts, at: datetime, sale: Sale) -> None:
    assert sale_at(at, facts) == sale


def test_tickets_of_a_hold_are_on_sale_from_its_end_on_though_nobody_has_taken_them_back_yet() -> None:
    held = SOLD_OUT._replace(first_hold_ends_at=IN_BETWEEN)
    assert sale_at(IN_BETWEEN - INSTANT, held) == Sale("sold-out", IN_BETWEEN)
    assert sale_at(IN_BETWEEN, held) == Sale("now", CLOSES)
    later = SOLD_OUT._replace(first_hold_ends_at=CLOSES + INSTANT)
    assert sale_at(IN_BETWEEN, later) == Sale("sold-out", CLOSES)


instants = st.integers(-3, 30).map(lambda half_hours: NOON + half_hours * timedelta(minutes=30))


@drawn(
    at=instants,
    opens=st.none() | instants,
    closes=st.none() | instants,
    first_hold_ends_at=st.none() | instants,
    available=st.sampled_from([0, 0, 1]),
    is_cancelled=st.booleans(),
)
def test_nothing_changes_before_it_is_said_to_and_all_that_is_said_happens(
    at: datetime, is_cancelled: bool, opens: Any, closes: Any, **facts: Any
) -> None:
    closes = closes and min(closes, END)
    if opens and opens >= (closes or END):
        opens = None
    window = SalesWindow(sales_open_at=opens, sales_close_at=closes)
    known = SaleFacts(is_cancelled=is_cancelled, ends_at=END, sales_window=window, **facts)
    sale = sale_at(at, known)
    if sale.changes_at is None:
        assert sale.on_sale in ("ended", "cancelled")
        return
    assert sale.changes_at > at
    assert sale_at(sale.changes_at - INSTANT, known) == sale
    assert sale_at(sale.changes_at, known).on_sale != sale.on_sale


REFUSED: dict[str, type[Refusal] | None] = {
    "now": None,
    "not-yet": SalesNotOpen,
    "closed": SalesClosed,
    "ended": EventEnded,
    "cancelled": EventIsCancelled,
    "sold-out": SoldOut,
}


@pytest.mark.parametrize(
    "at", [NOON, OPENS - INSTANT, OPENS, CLOSES - INSTANT, CLOSES, END - INSTANT, END, HOLD_OVER, HOLD_OVER - INSTANT]
)
@pytest.mark.parametrize("is_cancelled", [False, True])
@pytest.mark.parametrize("is_taken", [False, True])
@pytest.mark.parametrize("window", [{}, {"sales_open_at": OPENS, "sales_close_at": CLOSES}])
def test_what_a_record_tells_is_what_a_buyer_meets(
    at: datetime, is_cancelled: bool, is_taken: bool, window: dict[str, Any]
) -> None:
    facts: list[Any] = [created(capacity=1, **({} if is_taken else window))]
    facts += [ANNS.reserved()] if is_taken else []
    scenario = given(*facts, *([event_cancelled()] if is_cancelled else []))
    event = scenario.event(facts[0].originator_id)
    assert event is not None
    outcome = scenario.when(BOBS.reserve(), at=at).outcome
    refused = REFUSED[event.record.sale_at(at).on_sale]
    assert isinstance(outcome, Decision) if refused is None else type(outcome) is refused


def test_each_of_them_is_what_some_buyer_meets() -> None:
    assert REFUSED.keys() == set(ALL_ON_SALE)


def test_a_lower_capacity_that_takes_due_holds_back_tells_of_the_next_one() -> None:
    bobs = BOBS._replace(held_at=after(seconds=30))
    scenario = given(created(capacity=2), ANNS.reserved(), bobs.reserved())
    answer: Any = scenario.when(change(total_tickets=1), at=HOLD_OVER).decision.answer
    assert answer.first_hold_ends_at == bobs.hold_expires_at
    assert answer.sale_at(HOLD_OVER) == Sale("sold-out", bobs.hold_expires_at)
