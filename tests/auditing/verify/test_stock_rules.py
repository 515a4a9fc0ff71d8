"""Each rule of what is withheld broken once: it is named at its position, and no other is."""

import pytest

from auditing.findings import Rule
from tests.auditing.broken_histories import Facts, found_in, rules_broken, stored
from tests.domain.builders import (
    END,
    HOLD_OVER,
    SEATED,
    STANDING,
    UNKNOWN_TYPE_ID,
    capacity_changed,
    created,
    event_cancelled,
    returned,
    withheld,
)
from tests.domain.purchase import ANNS, BOBS

OPENED = [created(ticket_types=(STANDING, SEATED))]
SMALL = [created(capacity=3)]
ANNS_PAIR = ANNS._replace(quantity=2)
LATE = HOLD_OVER

BROKEN_RULES: dict[str, tuple[list[Facts], set[tuple[int | None, Rule]]]] = {
    "a ticket too many is held beside withheld ones": (
        [SMALL, [withheld(2)], ANNS_PAIR.reserved()],
        {(3, Rule.OVERSOLD)},
    ),
    "more tickets are withheld than are left": (
        [SMALL, ANNS_PAIR.reserved(), [withheld(2)]],
        {(4, Rule.OVERSOLD)},
    ),
    "more tickets are returned than were withheld": (
        [SMALL, [withheld(2)], [returned(3)]],
        {(3, Rule.NEVER_WITHHELD)},
    ),
    "no tickets are withheld": (
        [SMALL, [withheld(0)]],
        {(2, Rule.NEVER_WITHHELD)},
    ),
    "tickets are withheld of a type that the event has not": (
        [SMALL, [withheld(1, ticket_type_id=UNKNOWN_TYPE_ID)]],
        {(2, Rule.TICKET_TYPE_UNKNOWN)},
    ),
    "tickets are returned after the event was cancelled": (
        [SMALL, [withheld(1)], [event_cancelled()], [returned(1)]],
        {(4, Rule.AFTER_EVENT_CANCELLED)},
    ),
    "tickets are withheld when the event is over": (
        [SMALL, [withheld(1, END)]],
        {(2, Rule.AFTER_EVENT_ENDED)},
    ),
    "the capacity falls below what is taken and withheld": (
        [OPENED, ANNS.reserved(), [withheld(3)], [capacity_changed(3)]],
        {(5, Rule.CAPACITY_BELOW_TAKEN)},
    ),
}


@pytest.mark.parametrize("name", BROKEN_RULES)
def test_what_breaks_a_rule_is_named_with_its_position(name: str) -> None:
    commands, broken = BROKEN_RULES[name]
    assert rules_broken(stored(*commands)) == broken


def test_tickets_may_be_withheld_and_returned_beside_what_is_sold() -> None:
    commands: list[Facts] = [
        SMALL,
        ANNS.reserved(),
        [withheld(2)],
        [returned(1)],
        BOBS.reserved(),
        [*ANNS.expired(LATE), withheld(1, LATE)],
        [capacity_changed(3, LATE)],
        [returned(2, LATE)],
    ]
    assert found_in(stored(*commands)) == []
