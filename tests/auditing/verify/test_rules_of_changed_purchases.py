"""Each rule about more time and about parts broken once: it is named at its position, and no other is."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from auditing.findings import Rule
from tests.auditing.broken_histories import Facts, rules_broken, stored
from tests.domain.builders import END, HOLD_OVER, INSTANT, SEATED, STANDING, created, event_cancelled
from tests.domain.purchase import ANNS

OPENED = [created(ticket_types=(STANDING, SEATED))]
ANNS_PAIR = ANNS._replace(quantity=2)
LATE = HOLD_OVER
PRICE = ANNS.amount_minor
EXTENDABLE = [created(hold_extension_seconds=60)]
LONGER = HOLD_OVER + timedelta(seconds=60)

BROKEN_RULES: dict[str, tuple[list[Facts], set[tuple[int | None, Rule]]]] = {
    "more is given back than there is": (
        [OPENED, ANNS_PAIR.reserved(), ANNS_PAIR._replace(quantity=3).reduced(2)],
        {(4, Rule.NEVER_HELD)},
    ),
    "nothing is left and it goes on": (
        [OPENED, ANNS_PAIR.reserved(), ANNS_PAIR.reduced(2)],
        {(4, Rule.NEVER_HELD), (5, Rule.RESERVATION_LIFE)},
    ),
    "part of a hold is given back at its deadline": (
        [OPENED, ANNS_PAIR.reserved(), ANNS_PAIR.reduced(1, LATE)],
        {(4, Rule.CANCELLED_LATE), (5, Rule.CANCELLED_LATE)},
    ),
    "part of what was paid is given back after the event": (
        [OPENED, ANNS_PAIR.reserved(), ANNS_PAIR.paid(), ANNS_PAIR.reduced(1, END, refund_due_minor=PRICE)],
        {(6, Rule.AFTER_EVENT_ENDED)},
    ),
    "too little is refunded for a part": (
        [OPENED, ANNS_PAIR.reserved(), ANNS_PAIR.paid(), ANNS_PAIR.reduced(1, refund_due_minor=PRICE - 1)],
        {(6, Rule.AMOUNT_WRONG), (7, Rule.AMOUNT_WRONG)},
    ),
    "a part that was refunded is refunded again": (
        [
            OPENED,
            ANNS_PAIR.reserved(),
            ANNS_PAIR.paid(),
            ANNS_PAIR.reduced(1, refund_due_minor=PRICE),
            [replace(fact, refund_due_minor=2 * PRICE) for fact in ANNS.cancelled(refund_due_minor=PRICE)],
        ],
        {(8, Rule.AMOUNT_WRONG), (9, Rule.AMOUNT_WRONG)},
    ),
    "all is paid where a part was given back": (
        [OPENED, ANNS_PAIR.reserved(), ANNS_PAIR.reduced(1), ANNS_PAIR.paid()],
        {(6, Rule.NEVER_HELD), (7, Rule.AMOUNT_WRONG)},
    ),
    "the streams tell of another part": (
        [
            OPENED,
            ANNS_PAIR._replace(quantity=3).reserved(),
            [ANNS_PAIR._replace(quantity=3).reduced(1)[0], ANNS_PAIR._replace(quantity=3).reduced(2)[1]],
        ],
        {(5, Rule.STREAMS_DISAGREE)},
    ),
    "a hold is extended where that is not offered": (
        [OPENED, ANNS.reserved(), ANNS.extended(LONGER), ANNS.paid(LATE)],
        {(4, Rule.HOLD_LENGTH)},
    ),
    "a hold is extended by more than is offered": (
        [EXTENDABLE, ANNS.reserved(), ANNS.extended(LONGER + INSTANT)],
        {(4, Rule.HOLD_LENGTH)},
    ),
    "a hold is extended by nothing": (
        [OPENED, ANNS.reserved(), ANNS.extended(LATE)],
        {(4, Rule.HOLD_LENGTH), (5, Rule.HOLD_LENGTH)},
    ),
    "a hold is extended at its deadline": (
        [EXTENDABLE, ANNS.reserved(), ANNS.extended(LONGER, LATE)],
        {(4, Rule.EXTENDED_LATE), (5, Rule.EXTENDED_LATE)},
    ),
    "a hold is extended twice": (
        [EXTENDABLE, ANNS.reserved(), ANNS.extended(LONGER), ANNS.extended(LONGER + timedelta(minutes=1))],
        {(6, Rule.RESERVATION_LIFE), (7, Rule.RESERVATION_LIFE)},
    ),
    "a hold is extended after the event was cancelled": (
        [EXTENDABLE, ANNS.reserved(), [event_cancelled()], ANNS.extended(LONGER)],
        {(5, Rule.AFTER_EVENT_CANCELLED)},
    ),
    "a hold is extended that was paid": (
        [EXTENDABLE, ANNS.reserved(), ANNS.paid(), ANNS.extended(LONGER)],
        {(6, Rule.NEVER_HELD), (7, Rule.RESERVATION_LIFE)},
    ),
    "a hold that was extended expires before its deadline": (
        [EXTENDABLE, ANNS.reserved(), ANNS.extended(LONGER), ANNS.expired(LATE)],
        {(6, Rule.EXPIRED_EARLY), (7, Rule.EXPIRED_EARLY)},
    ),
    "the streams tell another extension": (
        [EXTENDABLE, ANNS.reserved(), [ANNS.extended(LONGER)[0], ANNS.extended(LONGER + INSTANT)[1]]],
        {(5, Rule.STREAMS_DISAGREE)},
    ),
}


@pytest.mark.parametrize("name", BROKEN_RULES)
def test_what_breaks_a_rule_is_named_with_its_position(name: str) -> None:
    commands, broken = BROKEN_RULES[name]
    assert rules_broken(stored(*commands)) == broken
