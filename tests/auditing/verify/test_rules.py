"""Each rule broken once, by a clerk who does not know it: it is named at its position, and no other is."""

from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from auditing.findings import Rule
from tests.auditing.broken_histories import Facts, found_in, rules_broken, stored
from tests.domain.builders import (
    ANN,
    BOB,
    CONCERT,
    DOORS,
    END,
    HOLD_OVER,
    INSTANT,
    NOON,
    OTHER_CONCERT,
    SEATED,
    STANDING,
    UNKNOWN_TYPE_ID,
    after,
    capacity_changed,
    created,
    details_changed,
    event_cancelled,
    limits_changed,
    window_changed,
)
from tests.domain.purchase import ANNS, BOBS, CLEOS, Purchase

OPENED = [created(ticket_types=(STANDING, SEATED))]
SMALL = [created(capacity=3)]
ANNS_PAIR, BOBS_PAIR = (replaced._replace(quantity=2) for replaced in (ANNS, BOBS))
LATE, EARLY = HOLD_OVER, HOLD_OVER - INSTANT
PRICE = ANNS.amount_minor

Broken = set[tuple[int | None, Rule]]


def at(purchase: Purchase, moment: object) -> Purchase:
    """The purchase, with its tickets held at another moment."""
    return purchase._replace(held_at=moment)  # type: ignore[arg-type]


BROKEN_RULES: dict[str, tuple[list[Facts], Broken]] = {
    "a ticket too many is held": (
        [SMALL, ANNS_PAIR.reserved(), BOBS_PAIR.reserved()],
        {(4, Rule.OVERSOLD)},
    ),
    "a ticket too many is held beside paid ones": (
        [SMALL, ANNS_PAIR.reserved(), ANNS_PAIR.paid(), BOBS_PAIR.reserved()],
        {(6, Rule.OVERSOLD)},
    ),
    "the capacity falls below what is taken": (
        [OPENED, ANNS_PAIR.reserved(), [capacity_changed(1)]],
        {(4, Rule.CAPACITY_BELOW_TAKEN)},
    ),
    "a buyer gets more than the limit": (
        [OPENED, ANNS._replace(quantity=5).reserved()],
        {(2, Rule.LIMIT_PER_BUYER)},
    ),
    "a buyer gets more than the limit in two purchases": (
        [OPENED, ANNS_PAIR.reserved(), BOBS._replace(buyer=ANN, quantity=3, ticket_type=SEATED).reserved()],
        {(4, Rule.LIMIT_PER_BUYER)},
    ),
    "the limit was lowered before": (
        [OPENED, [limits_changed(max_per_buyer=1)], ANNS_PAIR.reserved()],
        {(3, Rule.LIMIT_PER_BUYER)},
    ),
    "tickets are paid at the deadline": (
        [OPENED, ANNS.reserved(), ANNS.paid(LATE)],
        {(4, Rule.PAID_LATE), (5, Rule.PAID_LATE)},
    ),
    "a hold expires before its deadline": (
        [OPENED, ANNS.reserved(), ANNS.expired(EARLY)],
        {(4, Rule.EXPIRED_EARLY), (5, Rule.EXPIRED_EARLY)},
    ),
    "a hold is cancelled at its deadline": (
        [OPENED, ANNS.reserved(), ANNS.cancelled(LATE)],
        {(4, Rule.CANCELLED_LATE), (5, Rule.CANCELLED_LATE)},
    ),
    "tickets are held before sales open": (
        [[created(sales_open_at=after(minutes=1))], ANNS.reserved()],
        {(2, Rule.OUTSIDE_SALES_WINDOW)},
    ),
    "tickets are held when sales close": (
        [OPENED, [window_changed(sales_close_at=after(minutes=1))], at(ANNS, after(minutes=1)).reserved()],
        {(3, Rule.OUTSIDE_SALES_WINDOW)},
    ),
    "tickets are held when the event is over": (
        [OPENED, at(ANNS, END).reserved()],
        {(2, Rule.AFTER_EVENT_ENDED)},
    ),
    "the end of the event was moved before": (
        [OPENED, [details_changed(ends_at=DOORS + INSTANT)], at(ANNS, DOORS + INSTANT).reserved()],
        {(3, Rule.AFTER_EVENT_ENDED)},
    ),
    "tickets are held after the event was cancelled": (
        [OPENED, [event_cancelled()], ANNS.reserved()],
        {(3, Rule.AFTER_EVENT_CANCELLED)},
    ),
    "tickets are paid after the event was cancelled": (
        [OPENED, ANNS.reserved(), [event_cancelled()], ANNS.paid()],
        {(5, Rule.AFTER_EVENT_CANCELLED)},
    ),
    "an event is cancelled twice": (
        [OPENED, [event_cancelled()], [event_cancelled()]],
        {(3, Rule.AFTER_EVENT_CANCELLED)},
    ),
    "an event is changed when it is over": (
        [OPENED, [limits_changed(END, max_per_buyer=9)]],
        {(2, Rule.AFTER_EVENT_ENDED)},
    ),
    "paid tickets are given back when the event is over": (
        [OPENED, ANNS.reserved(), ANNS.paid(), ANNS.cancelled(END, refund_due_minor=PRICE)],
        {(6, Rule.AFTER_EVENT_ENDED)},
    ),
    "a hold is cancelled by the organiser at its deadline": (
        [OPENED, ANNS.reserved(), ANNS.revoked(LATE)],
        {(4, Rule.CANCELLED_LATE), (5, Rule.CANCELLED_LATE)},
    ),
    "the streams tell of another who cancelled": (
        [OPENED, ANNS.reserved(), [ANNS.revoked()[0], replace(ANNS.revoked()[1], reason="buyer")]],
        {(5, Rule.STREAMS_DISAGREE)},
    ),
    "tickets are taken back for a cancellation that never was": (
        [OPENED, ANNS.reserved(), ANNS.withdrawn()],
        {(4, Rule.NOT_CANCELLED)},
    ),
    "a hold is longer than it may be": (
        [OPENED, ANNS._replace(hold_seconds=121).reserved()],
        {(2, Rule.HOLD_LENGTH)},
    ),
    "the length of holds was changed before": (
        [OPENED, [limits_changed(hold_seconds=60)], ANNS.reserved()],
        {(3, Rule.HOLD_LENGTH)},
    ),
    "tickets are reserved for another price": (
        [OPENED, [ANNS.reserved()[0], replace(ANNS.reserved()[1], amount_minor=1)]],
        {(3, Rule.AMOUNT_WRONG)},
    ),
    "tickets are reserved for more than their price": (
        [OPENED, [ANNS.reserved()[0], replace(ANNS.reserved()[1], amount_minor=PRICE + 1)]],
        {(3, Rule.AMOUNT_WRONG)},
    ),
    "tickets are sold for another price": (
        [OPENED, ANNS.reserved(), [replace(fact, amount_minor=1) for fact in ANNS.paid()]],
        {(4, Rule.AMOUNT_WRONG), (5, Rule.AMOUNT_WRONG)},
    ),
    "a refund is due that was never paid": (
        [OPENED, ANNS.reserved(), [replace(fact, refund_due_minor=PRICE) for fact in ANNS.cancelled()]],
        {(4, Rule.AMOUNT_WRONG), (5, Rule.AMOUNT_WRONG)},
    ),
    "a refund is too small": (
        [OPENED, ANNS.reserved(), ANNS.paid(), ANNS.cancelled(refund_due_minor=PRICE - 1)],
        {(6, Rule.AMOUNT_WRONG), (7, Rule.AMOUNT_WRONG)},
    ),
    "fewer tickets are sold than were held": (
        [OPENED, ANNS_PAIR.reserved(), [ANNS.paid()[0], ANNS_PAIR.paid()[1]]],
        {(4, Rule.NEVER_HELD), (5, Rule.STREAMS_DISAGREE)},
    ),
    "more tickets are given back than were sold": (
        [OPENED, ANNS.reserved(), ANNS.paid(), BOBS_PAIR.reserved(), BOBS_PAIR.paid(),
         [replace(ANNS.cancelled(refund_due_minor=PRICE)[0], quantity=2), ANNS.cancelled(refund_due_minor=PRICE)[1]]],
        {(10, Rule.NEVER_HELD), (10, Rule.AMOUNT_WRONG)},
    ),
    "a reservation is paid twice": (
        [OPENED, ANNS.reserved(), ANNS.paid(), ANNS.paid()],
        {(6, Rule.NEVER_HELD), (7, Rule.RESERVATION_LIFE)},
    ),
    "a paid reservation expires": (
        [OPENED, ANNS.reserved(), ANNS.paid(),
         [replace(ANNS.expired()[0], was="sold", refund_due_minor=PRICE), ANNS.expired()[1]]],
        {(6, Rule.RESERVATION_LIFE), (7, Rule.RESERVATION_LIFE), (7, Rule.STREAMS_DISAGREE)},
    ),
    "an expired reservation is cancelled": (
        [OPENED, ANNS.reserved(), ANNS.expired(), ANNS.cancelled(LATE)],
        {(6, Rule.NEVER_HELD), (7, Rule.RESERVATION_LIFE)},
    ),
    "tickets are held twice for one reservation": (
        [OPENED, ANNS.reserved(), ANNS.reserved()],
        {(4, Rule.RESERVATION_LIFE), (5, Rule.RESERVATION_LIFE)},
    ),
    "no tickets are held": (
        [OPENED, ANNS._replace(quantity=0).reserved()],
        {(2, Rule.RESERVATION_LIFE), (3, Rule.RESERVATION_LIFE)},
    ),
    "an event is created twice": (
        [OPENED, OPENED],
        {(2, Rule.STREAM_UNKNOWN)},
    ),
    "time goes backwards in a stream": (
        [OPENED, ANNS.reserved(), at(BOBS, NOON - INSTANT).reserved()],
        {(4, Rule.TIME_BACKWARDS)},
    ),
    "the streams tell another quantity": (
        [OPENED, [ANNS_PAIR.reserved()[0], ANNS.reserved()[1]]],
        {(3, Rule.STREAMS_DISAGREE)},
    ),
    "the streams tell another deadline": (
        [OPENED, [ANNS.reserved()[0], replace(ANNS.reserved()[1], hold_expires_at=LATE + timedelta(hours=1))]],
        {(3, Rule.STREAMS_DISAGREE)},
    ),
    "tickets are held for nobody's reservation": (
        [OPENED, ANNS.reserved()[:1]],
        {(2, Rule.STREAMS_DISAGREE)},
    ),
    "tickets are held for nobody's reservation, and others for somebody's": (
        [OPENED, [ANNS.reserved()[0], *BOBS.reserved()]],
        {(2, Rule.STREAMS_DISAGREE)},
    ),
    "a reservation is placed without tickets": (
        [OPENED, ANNS.reserved()[1:]],
        {(2, Rule.STREAMS_DISAGREE)},
    ),
    "the tickets are released and the reservation stays": (
        [OPENED, ANNS.reserved(), ANNS.expired()[:1]],
        {(4, Rule.STREAMS_DISAGREE)},
    ),
    "the two halves are two commands": (
        [OPENED, ANNS.reserved()[:1], ANNS.reserved()[1:]],
        {(2, Rule.STREAMS_DISAGREE), (3, Rule.STREAMS_DISAGREE)},
    ),
    "a reservation is paid that was never placed": (
        [OPENED, ANNS.paid()],
        {(2, Rule.NEVER_HELD), (3, Rule.STREAM_UNKNOWN)},
    ),
    "tickets of an event that never was": (
        [ANNS.reserved()],
        {(1, Rule.STREAM_UNKNOWN), (2, Rule.TICKET_TYPE_UNKNOWN)},
    ),
    "a reservation moves to another event": (
        [OPENED, [created(event_id=OTHER_CONCERT, ticket_types=(replace(SEATED, ticket_type_id=UUID(int=7)),))],
         ANNS.reserved(), [ANNS.paid()[0], replace(ANNS.paid()[1], event_id=OTHER_CONCERT)]],
        {(6, Rule.STREAMS_DISAGREE)},
    ),
    "tickets are held of a type that the event has not": (
        [SMALL, ANNS._replace(ticket_type=replace(STANDING, ticket_type_id=UNKNOWN_TYPE_ID)).reserved()],
        {(2, Rule.TICKET_TYPE_UNKNOWN), (3, Rule.TICKET_TYPE_UNKNOWN)},
    ),
    "tickets are held again for a reservation that is paid": (
        [OPENED, ANNS.reserved(), ANNS.paid(), ANNS.reserved()],
        {(6, Rule.RESERVATION_LIFE), (7, Rule.RESERVATION_LIFE)},
    ),
    "tickets are held for no time": (
        [OPENED, ANNS._replace(hold_seconds=0).reserved()],
        {(2, Rule.HOLD_LENGTH), (3, Rule.RESERVATION_LIFE)},
    ),
    "tickets are sold in another currency": (
        [OPENED, ANNS.reserved(), [replace(fact, currency="JPY") for fact in ANNS.paid()]],
        {(4, Rule.AMOUNT_WRONG), (5, Rule.AMOUNT_WRONG)},
    ),
    "tickets are reserved in another currency": (
        [OPENED, [ANNS.reserved()[0], replace(ANNS.reserved()[1], currency="JPY")]],
        {(3, Rule.STREAMS_DISAGREE)},
    ),
    "a refund is due in another currency": (
        [OPENED, ANNS.reserved(), [replace(fact, currency="JPY") for fact in ANNS.cancelled()]],
        {(4, Rule.AMOUNT_WRONG), (5, Rule.AMOUNT_WRONG)},
    ),
    "tickets are sold to another buyer than they are held for": (
        [OPENED, ANNS.reserved(), [replace(ANNS.paid()[0], buyer_id=BOB), ANNS.paid()[1]]],
        {(4, Rule.NEVER_HELD)},
    ),
    "tickets are released of another type than is held": (
        [OPENED, ANNS.reserved(),
         [replace(ANNS.expired()[0], ticket_type_id=SEATED.ticket_type_id), ANNS.expired()[1]]],
        {(4, Rule.NEVER_HELD)},
    ),
    "fewer tickets are released than were held": (
        [OPENED, ANNS_PAIR.reserved(), ANNS.expired()],
        {(4, Rule.NEVER_HELD)},
    ),
    "paid tickets are given back twice": (
        [OPENED, ANNS.reserved(), ANNS.paid(), ANNS.cancelled(refund_due_minor=PRICE),
         ANNS.cancelled(refund_due_minor=PRICE)],
        {(8, Rule.NEVER_HELD), (9, Rule.RESERVATION_LIFE)},
    ),
    "a reservation expires twice": (
        [OPENED, ANNS.reserved(), ANNS.expired(), ANNS.expired()],
        {(6, Rule.NEVER_HELD), (7, Rule.RESERVATION_LIFE)},
    ),
    "a reservation is paid at another event": (
        [OPENED, [created(event_id=OTHER_CONCERT, ticket_types=(replace(SEATED, ticket_type_id=UUID(int=7)),))],
         ANNS.reserved(),
         [replace(ANNS.paid()[0], originator_id=OTHER_CONCERT), replace(ANNS.paid()[1], event_id=OTHER_CONCERT)]],
        {(5, Rule.TICKET_TYPE_UNKNOWN), (6, Rule.STREAMS_DISAGREE)},
    ),
    "two ticket types have one id": (
        [[created(ticket_types=(STANDING, STANDING))]],
        {(1, Rule.STREAM_UNKNOWN)},
    ),
    "one command has two times": (
        [OPENED, [ANNS.reserved()[0], replace(ANNS.reserved()[1], timestamp=NOON + INSTANT)]],
        {(3, Rule.REQUESTS_MIXED)},
    ),
    "two requests are one command": (
        [OPENED, [*ANNS.reserved(), *(replace(fact, request_id=UUID(int=9)) for fact in BOBS.reserved())]],
        {(4, Rule.REQUESTS_MIXED), (5, Rule.REQUESTS_MIXED)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_RULES)
def test_what_breaks_a_rule_is_named_with_its_position(name: str) -> None:
    commands, broken = BROKEN_RULES[name]
    assert rules_broken(stored(*commands)) == broken


def test_every_way_that_a_purchase_can_take_keeps_the_rules() -> None:
    cleos = CLEOS._replace(ticket_type=SEATED, quantity=4)
    commands: list[Facts] = [
        OPENED,
        ANNS_PAIR.reserved(),
        BOBS.reserved(),
        ANNS_PAIR.paid(EARLY),
        [*BOBS.expired(LATE), *at(cleos, LATE).reserved()],
        [limits_changed(LATE, max_per_buyer=1)],
        [capacity_changed(2, LATE)],
        at(cleos, LATE).cancelled(LATE),
        [event_cancelled(LATE)],
        ANNS_PAIR.withdrawn(LATE, refund_due_minor=ANNS_PAIR.amount_minor),
    ]
    assert found_in(stored(*commands)) == []


def test_an_organiser_may_cancel_a_reservation_and_then_the_event_after_its_end() -> None:
    commands: list[Facts] = [
        OPENED,
        ANNS.reserved(),
        BOBS.reserved(),
        CLEOS.reserved(),
        ANNS.paid(),
        BOBS.paid(),
        CLEOS.revoked(),
        ANNS.revoked(END, refund_due_minor=PRICE),
        [event_cancelled(END)],
        BOBS.withdrawn(END, refund_due_minor=PRICE),
    ]
    assert found_in(stored(*commands)) == []


def test_tickets_may_be_held_at_the_instant_when_sales_open() -> None:
    assert found_in(stored([created(sales_open_at=NOON)], ANNS.reserved())) == []


def test_a_hold_may_be_paid_after_the_event() -> None:
    late = at(ANNS, END - INSTANT)
    assert found_in(stored(OPENED, late.reserved(), late.paid(END))) == []


def test_a_sentence_says_what_was_and_what_is_allowed() -> None:
    (finding,) = found_in(stored(SMALL, ANNS_PAIR.reserved(), BOBS_PAIR.reserved()))
    assert finding.place == f"stream {CONCERT}, version 3"
    assert finding.sentence == "4 tickets of the type are taken; there are 3."
