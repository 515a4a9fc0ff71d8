"""A command that arrives twice is recorded once, and both get the same answer."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from domain.commands import Command
from domain.decision import Decision
from domain.errors import EventExists, IdempotencyKeyReused, LimitPerBuyer, NotPayable, SoldOut
from tests.domain.builders import (
    END,
    HOLD_OVER,
    LATER_REQUEST,
    NOON,
    OTHER_CONCERT,
    after,
    cancel_event,
    capacity_changed,
    change,
    create,
    created,
    details_changed,
    event_cancelled,
    key,
)
from tests.domain.given_when_then import Step, given
from tests.domain.purchase import ANNS, BOBS

SOON = after(seconds=30)


class Story(NamedTuple):
    """A command that is accepted after `before`, and what may happen before it comes again."""

    before: list[Step]
    command: Callable[..., Any]
    meanwhile: list[Step]


KEYED = {
    "create an event": Story([], create, [capacity_changed(20), ANNS.reserved(), event_cancelled()]),
    "cancel an event": Story([created()], cancel_event, []),
    "reserve": Story([created()], ANNS.reserve, [ANNS.paid(), event_cancelled()]),
    "reserve, then let it run out": Story([created()], ANNS.reserve, [ANNS.expired()]),
    "pay": Story([created(), ANNS.reserved()], ANNS.pay, [ANNS.cancelled(refund_due_minor=2500), event_cancelled()]),
    "extend": Story(
        [created(hold_extension_seconds=60), ANNS.reserved()], ANNS.extend, [ANNS.paid(), event_cancelled()]
    ),
    "reserve, then extend": Story([created()], ANNS.reserve, [ANNS.extended(END)]),
    "cancel a hold": Story([created(), ANNS.reserved()], ANNS.cancel, [BOBS.reserved()]),
    "cancel a hold for the organiser": Story([created(), ANNS.reserved()], ANNS.revoke, [BOBS.reserved()]),
    "cancel paid tickets for the organiser": Story([created(), ANNS.reserved(), ANNS.paid()], ANNS.revoke, []),
    "cancel paid tickets": Story([created(), ANNS.reserved(), ANNS.paid()], ANNS.cancel, [event_cancelled()]),
    "cancel an event with reservations": Story(
        [created(), ANNS.reserved(), BOBS.reserved(), BOBS.paid()],
        cancel_event,
        [ANNS.withdrawn(), BOBS.withdrawn(refund_due_minor=2500)],
    ),
}
BY_THE_SYSTEM = {
    "expire": Story([created(), ANNS.reserved()], ANNS.expire, []),
    "withdraw a hold": Story([created(), ANNS.reserved(), event_cancelled()], ANNS.withdraw, []),
    "withdraw paid tickets": Story([created(), ANNS.reserved(), ANNS.paid(), event_cancelled()], ANNS.withdraw, []),
    "withdraw what fell due": Story([created(), ANNS.reserved(), event_cancelled()], ANNS.withdraw, []),
}
AT = {"expire": HOLD_OVER, "withdraw what fell due": HOLD_OVER}


def told(decision: Decision) -> tuple[Any, ...]:
    return decision.answer, decision.stream_id, decision.version


@pytest.mark.parametrize("story", KEYED)
def test_the_same_request_again_records_nothing_and_gets_the_first_answer(story: str) -> None:
    before, command, meanwhile = KEYED[story]
    scenario = given(*before)
    first = scenario.when(command()).decision
    assert first.domain_events
    scenario.record(first.domain_events)
    scenario.record(scenario.numbered(*meanwhile))
    again = scenario.when(command(), at=END).then_nothing_new()
    assert told(again) == told(first)
    assert not again.replayed


@pytest.mark.parametrize("story", KEYED)
def test_the_same_key_and_body_record_nothing_and_replay_the_first_answer(story: str) -> None:
    before, command, meanwhile = KEYED[story]
    scenario = given(*before)
    first = scenario.when(command(idempotency=key("once"))).decision
    scenario.record(first.domain_events)
    scenario.record(scenario.numbered(*meanwhile))
    again = scenario.when(command(idempotency=key("once"), request_id=LATER_REQUEST), at=END).then_nothing_new()
    assert told(again) == told(first)
    assert again.replayed


@pytest.mark.parametrize("story", KEYED)
def test_the_same_key_with_another_body_is_refused(story: str) -> None:
    before, command, meanwhile = KEYED[story]
    scenario = given(*before)
    scenario.record(scenario.when(command(idempotency=key("once"))).decision.domain_events)
    scenario.record(scenario.numbered(*meanwhile))
    other = command(idempotency=key("once", "another body"), request_id=LATER_REQUEST)
    scenario.when(other, at=END).then_refused(IdempotencyKeyReused())


@pytest.mark.parametrize("story", BY_THE_SYSTEM)
def test_what_the_system_does_again_records_nothing(story: str) -> None:
    before, command, _ = BY_THE_SYSTEM[story]
    scenario = given(*before)
    first = scenario.when(command(), at=AT.get(story, SOON)).decision
    assert first.domain_events
    scenario.record(first.domain_events)
    for request_id in (first.domain_events[0].request_id, LATER_REQUEST):
        again = scenario.when(command(request_id=request_id), at=END).then_nothing_new()
        assert told(again) == told(first)


def test_a_change_again_records_nothing() -> None:
    asked = change(city="Bruges", sales_close_at=SOON, max_per_buyer=1, total_tickets=1)
    scenario = given(created(), ANNS.reserved())
    first = scenario.when(asked).decision
    scenario.record(first.domain_events)
    again = scenario.when(asked).then_nothing_new()
    assert told(again) == told(first)


def test_a_change_that_took_back_due_holds_records_nothing_again() -> None:
    asked = change(total_tickets=1)
    scenario = given(created(), ANNS.reserved(), BOBS.reserved())
    first = scenario.when(asked, at=HOLD_OVER).decision
    assert len(first.domain_events) == 3
    scenario.record(first.domain_events)
    again = scenario.when(asked, at=HOLD_OVER).then_nothing_new()
    assert told(again) == told(first)


def test_a_change_again_does_not_undo_the_one_that_came_between() -> None:
    asked = change(city="Bruges")
    scenario = given(created())
    scenario.record(scenario.when(asked).decision.domain_events)
    scenario = scenario.when(change(city="Antwerp", request_id=LATER_REQUEST)).then(details_changed(city="Antwerp"))
    scenario.when(asked).then_nothing_new()


def test_a_change_again_is_no_refusal_when_the_event_was_cancelled_since() -> None:
    asked = change(city="Bruges")
    scenario = given(created())
    scenario.record(scenario.when(asked).decision.domain_events)
    scenario.record(scenario.numbered(event_cancelled(SOON)))
    for at in (SOON, END):
        scenario.when(asked, at=at).then_nothing_new()


def test_another_key_is_another_request() -> None:
    scenario = given(created(max_per_buyer=1), ANNS.reserved(idempotency=key("first")))
    asked = ANNS._replace(reservation_id=BOBS.reservation_id).reserve(idempotency=key("second"))
    scenario.when(asked).then_refused(LimitPerBuyer(1, 1, ANNS.reservation_id))


def test_without_a_key_another_request_is_another_request() -> None:
    given(created(), ANNS.reserved(), ANNS.paid(reference="a")).when(
        ANNS.pay("b", request_id=LATER_REQUEST)
    ).then_refused(NotPayable("paid"))
    scenario = given(created())
    scenario.when(
        create(event_id=OTHER_CONCERT), name_holder_id=scenario.aggregates[created().originator_id].id
    ).then_refused(EventExists(created().originator_id))


def test_a_key_that_only_one_side_has_is_no_match() -> None:
    for recorded, asked in ((key("a"), None), (None, key("a"))):
        scenario = given(created(), ANNS.reserved(), ANNS.paid(reference="a", idempotency=recorded))
        command = ANNS.pay("b", request_id=LATER_REQUEST, idempotency=asked)
        scenario.when(command).then_refused(NotPayable("paid"))


def test_a_refusal_is_not_remembered() -> None:
    asked = ANNS.reserve(idempotency=key("once"))
    scenario = given(created(capacity=1), BOBS.reserved()).when(asked).then_refused(SoldOut(0, HOLD_OVER))
    scenario.record(scenario.numbered(BOBS.cancelled()))
    scenario.when(asked).then(ANNS.reserved(idempotency=key("once")))


def test_a_key_is_free_for_another_body_while_nothing_was_recorded() -> None:
    scenario = (
        given(created(capacity=1))
        .when(ANNS._replace(quantity=2).reserve(idempotency=key("once", "two")))
        .then_refused(SoldOut(available=1))
    )
    scenario.when(ANNS.reserve(idempotency=key("once", "one"))).then(ANNS.reserved(idempotency=key("once", "one")))


def test_a_replay_is_told_also_when_the_event_of_the_request_is_gone() -> None:
    """A key names one reservation, wherever the second request points."""
    scenario = given(created(), ANNS.reserved(idempotency=key("once", "this concert")))
    asked = ANNS.reserve(event_id=OTHER_CONCERT, idempotency=key("once", "the other concert"), request_id=LATER_REQUEST)
    scenario.when(asked).then_refused(IdempotencyKeyReused())


def test_each_step_of_a_reservation_keeps_its_own_key() -> None:
    scenario = given(
        created(),
        ANNS.reserved(idempotency=key("reserve")),
        ANNS.paid(idempotency=key("pay")),
        ANNS.cancelled(refund_due_minor=2500, idempotency=key("cancel")),
    )
    record = scenario.aggregates[ANNS.reservation_id].record
    replays: list[tuple[Command, Any]] = [
        (ANNS.reserve(idempotency=key("reserve"), request_id=LATER_REQUEST), record._replace(paid=None, ended=None)),
        (ANNS.pay(idempotency=key("pay"), request_id=LATER_REQUEST), record._replace(ended=None)),
        (ANNS.cancel(idempotency=key("cancel"), request_id=LATER_REQUEST), record),
    ]
    for version, (command, answer) in enumerate(replays, start=1):
        decision = scenario.when(command, at=END).then_nothing_new()
        assert told(decision) == (answer, ANNS.reservation_id, version)


def test_cancelling_an_event_again_without_a_key_is_the_same_answer() -> None:
    scenario = given(created(), ANNS.reserved(), event_cancelled(NOON))
    decision = scenario.when(cancel_event(request_id=LATER_REQUEST), at=END).then_nothing_new()
    assert decision.answer == scenario.aggregates[created().originator_id].record
    assert not decision.replayed
