"""The ready JSON of a reservation is what the declared answer says, to the byte."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from api.reservations.schemas import ReservationAnswer, json_of
from domain.reservation import (
    ReservationCancelled,
    ReservationExpired,
    ReservationExtended,
    ReservationPaid,
    ReservationPlaced,
    ReservationRecord,
)

PLACED_AT = datetime(2030, 5, 1, 19, 30, tzinfo=UTC)
EVENT_ID = uuid4()


def about(version: int, at: datetime) -> dict[str, Any]:
    return {
        "originator_id": EVENT_ID,
        "originator_version": version,
        "timestamp": at,
        "actor_id": "system",
        "request_id": uuid4(),
        "event_id": EVENT_ID,
    }


PLACED = ReservationPlaced(
    **about(1, PLACED_AT),
    ticket_type_id=uuid4(),
    buyer_id=uuid4(),
    quantity=3,
    amount_minor=7500,
    currency="EUR",
    hold_expires_at=PLACED_AT + timedelta(microseconds=120_000_001),
)
PAID = ReservationPaid(
    **about(2, PLACED_AT + timedelta(milliseconds=5)), amount_minor=7500, currency="EUR", payment_reference='ü"\\\u2028'
)
EXPIRED = ReservationExpired(**about(2, PLACED_AT + timedelta(seconds=121)))
EXTENDED = ReservationExtended(
    **about(2, PLACED_AT + timedelta(seconds=9)), hold_expires_at=PLACED_AT + timedelta(minutes=3)
)
CANCELLED = ReservationCancelled(
    **about(3, PLACED_AT + timedelta(seconds=30)), reason="buyer", refund_due_minor=7500, currency="EUR"
)


@pytest.mark.parametrize(
    "record",
    [
        ReservationRecord(PLACED),
        ReservationRecord(PLACED, PAID),
        ReservationRecord(PLACED, None, EXPIRED),
        ReservationRecord(PLACED, PAID, CANCELLED),
        ReservationRecord(PLACED, None, CANCELLED),
        ReservationRecord(PLACED, PAID, None, EXTENDED),
    ],
    ids=lambda record: str(record.status),
)
def test_it_reads_back_as_the_declared_answer_and_renders_to_the_same_bytes(record: ReservationRecord) -> None:
    body = json_of(record)
    answer = ReservationAnswer.model_validate_json(body)
    assert answer.status == record.status
    assert answer.model_dump_json().encode() == body
