"""Every "no" has a code for programs, facts, and a sentence for people."""

import inspect
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain import errors
from domain.errors import Refusal
from tests.domain.builders import NOON, STANDING_ID
from tests.domain.purchase import ANNS

REFUSALS = sorted(
    (cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Refusal) and cls != Refusal),
    key=lambda cls: cls.__name__,
)
EXAMPLES: dict[str, Any] = {
    "sales_open_at": NOON,
    "hold_expires_at": NOON,
    "next_hold_ends_at": NOON,
    "limit": 4,
    "held": 3,
    "available": 2,
    "taken": 7,
    "quantity": 3,
    "edition": 13,
    "withheld": 2,
    "reservation_status": "paid",
    "reservation_id": ANNS.reservation_id,
    "ticket_type_id": STANDING_ID,
    "event_id": UUID(int=0xE2),
    "field": "ends_at",
    "problem": "must be later than starts_at",
}
CODES = {
    "AccountClosed": "not-authenticated",
    "CapacityBelowTaken": "capacity-below-taken",
    "ChangedMeanwhile": "changed-meanwhile",
    "EventEnded": "event-ended",
    "EventExists": "event-exists",
    "EventIsCancelled": "event-cancelled",
    "EventNotFound": "event-not-found",
    "ExtensionNotOffered": "extension-not-offered",
    "HoldExpired": "hold-expired",
    "IdempotencyKeyReused": "idempotency-key-reused",
    "InvalidRequest": "invalid-request",
    "LimitPerBuyer": "limit-per-buyer",
    "MoreThanReserved": "more-than-reserved",
    "TooManyParts": "too-many-parts",
    "NotExtendable": "not-extendable",
    "NotPayable": "not-payable",
    "NotTheOrganiser": "forbidden",
    "ReservationNotFound": "not-found",
    "SalesClosed": "sales-closed",
    "SalesNotOpen": "sales-not-open",
    "SoldOut": "sold-out",
    "TicketTypeNotFound": "ticket-type-not-found",
    "TicketTypeRequired": "ticket-type-required",
    "TooFewToWithhold": "too-few-to-withhold",
    "TooFewWithheld": "too-few-withheld",
}
every_refusal = pytest.mark.parametrize("cls", REFUSALS, ids=lambda cls: cls.__name__)


def example(cls: type[Refusal]) -> Refusal:
    facts: dict[str, Any] = {name: EXAMPLES[name] for name in inspect.signature(cls).parameters}
    return cls(**facts)


def test_the_codes_are_those_that_clients_know() -> None:
    assert {cls.__name__: cls.code for cls in REFUSALS} == CODES
    assert len(set(CODES.values())) == len(CODES)


@every_refusal
def test_the_sentence_is_whole(cls: type[Refusal]) -> None:
    sentence = str(example(cls))
    assert "{" not in sentence
    assert "}" not in sentence
    assert "  " not in sentence
    assert "\n" not in sentence
    assert sentence[0].isupper()
    assert sentence.endswith(".")


@every_refusal
def test_the_facts_are_what_a_program_needs_next(cls: type[Refusal]) -> None:
    names = set(inspect.signature(cls).parameters)
    assert example(cls).facts == {name: EXAMPLES[name] for name in names}


@every_refusal
def test_the_sentence_tells_numbers_and_words_among_the_facts(cls: type[Refusal]) -> None:
    refusal = example(cls)
    for value in refusal.facts.values():
        if isinstance(value, int | str):
            assert str(value) in str(refusal)


@pytest.mark.parametrize("cls", [errors.SalesNotOpen, errors.HoldExpired])
def test_the_sentence_tells_instants_in_utc(cls: type[Any]) -> None:
    assert "at 2030-06-01T12:30:15Z." in str(cls(datetime(2030, 6, 1, 12, 30, 15, tzinfo=UTC)))


def test_sold_out_tells_when_to_try_again_where_that_is_known() -> None:
    assert "try again at 2030-06-01T12:00:00Z: " in str(errors.SoldOut(0, NOON))
    assert "try later: " in str(errors.SoldOut(0))


def test_who_can_not_withhold_is_told_of_unpaid_tickets_where_there_are_any() -> None:
    assert "try again at 2030-06-01T12:00:00Z: " in str(errors.TooFewToWithhold(STANDING_ID, 3, NOON))
    assert str(errors.TooFewToWithhold(STANDING_ID, 3)) == (
        "Only 3 tickets of this type are left. Withhold at most as many."
    )


def test_braces_in_a_fact_are_only_text() -> None:
    assert "{field} {0} is odd" in str(errors.InvalidRequest("{field}", "{0} is odd"))
