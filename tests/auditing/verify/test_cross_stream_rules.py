"""Both halves of each step of a purchase: whatever both tell is compared, one fact after the other."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from auditing.verify.rules.cross_stream_rules import PARTNERS, disagreement
from domain.domain_event import DomainEvent
from tests.domain.builders import HOLD_OVER
from tests.domain.purchase import ANNS

STEPS = {
    "reserved": ANNS.reserved(),
    "extended": ANNS.extended(HOLD_OVER + timedelta(minutes=1)),
    "reduced": ANNS._replace(quantity=3).reduced(2, refund_due_minor=5000),
    "paid": ANNS.paid(),
    "expired": ANNS.expired(),
    "cancelled": ANNS.cancelled(),
    "withdrawn": ANNS.withdrawn(refund_due_minor=2500),
}
OTHER: dict[str, Any] = {
    "actor_id": "somebody else",
    "amount_minor": 1,
    "buyer_id": UUID(int=1),
    "currency": "JPY",
    "event_id": UUID(int=2),
    "hold_expires_at": HOLD_OVER + timedelta(hours=1),
    "originator_id": UUID(int=3),
    "quantity": 7,
    "reason": "somebody's whim",
    "refund_due_minor": 1,
    "ticket_type_id": UUID(int=4),
}
# Of each domain event its own, or of the whole command, which is looked at elsewhere.
NOT_OF_THE_STEP = {"originator_version", "idempotency", "timestamp", "request_id"}


def told_by_both() -> Iterator[tuple[str, str]]:
    """Each step with each fact of the reservation's stream that the event's tells too."""
    for step, (ours, theirs) in STEPS.items():
        both = ({"event_id", *ours.__struct_fields__} & {*theirs.__struct_fields__}) - NOT_OF_THE_STEP
        yield from ((step, field) for field in sorted(both))


@pytest.mark.parametrize("step", STEPS)
def test_what_one_command_has_recorded_agrees(step: str) -> None:
    assert disagreement(*STEPS[step]) is None


@pytest.mark.parametrize(("step", "field"), list(told_by_both()))
def test_no_fact_of_a_step_may_be_told_otherwise_by_the_reservation(step: str, field: str) -> None:
    ours, theirs = STEPS[step]
    assert disagreement(ours, replace(theirs, **{field: OTHER[field]}))


@pytest.mark.parametrize("change", [{"reason": "buyer"}, {"refund_due_minor": 1}])
def test_what_expires_does_so_by_itself_and_without_a_refund(change: dict[str, Any]) -> None:
    ours, theirs = STEPS["expired"]
    assert disagreement(replace(ours, **change), theirs)


def test_the_steps_here_are_all_that_there_are() -> None:
    kinds: set[tuple[type[DomainEvent], type[DomainEvent]]] = {(type(ours), type(its)) for ours, its in STEPS.values()}
    assert kinds == set(PARTNERS)
    assert all(isinstance(half, msgspec.Struct) for halves in STEPS.values() for half in halves)
