"""What the documentation shows as examples: one story, in which a word means the same in every body and answer."""

import json
from typing import Any

# As a text, since the framework drops what is null from all that a route declares.
SHOWN = "shown"

SOME_EVENT = "019a0000-0000-7000-8000-000000000001"
SOME_TICKET_TYPE = "019a0000-0000-7000-8000-000000000002"
SOME_RESERVATION = "019a0000-0000-7000-8000-000000000003"
SOME_ORGANISER = "019a0000-0000-7000-8000-000000000004"
SOME_BUYER = "019a0000-0000-7000-8000-000000000005"
SOME_KEY = "019a0000-0000-7000-8000-000000000007"
SOME_REQUEST = "019a0000-0000-7000-8000-000000000006"
SOME_AUDITOR = "019a0000-0000-7000-8000-000000000008"

# One word, one meaning: Ann has just reserved two tickets for Olga's concert.
BY_NAME: dict[str, Any] = {
    # accounts
    "password": "correct horse battery",
    "current_password": "a battery of horses",
    "token": "tixxety_reset_c2hvd24gaW4gdGhlIGRvY3VtZW50YXRpb24gb25seQ",
    "key": "tixxety_key_c2hvd24gaW4gdGhlIGRvY3VtZW50YXRpb24gb25seQ",
    "expires_at": "2031-01-01T00:00:00Z",
    "last_used_at": "2030-05-01T19:20:00Z",
    "username": "ada@example.com",
    "street": "Doma laukums 1",
    "city": "Riga",
    "state": "Vidzeme",
    "country": "Latvia",
    "roles": [],
    "access_token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwMTlhIn0.c2lnbmF0dXJl",
    "expires_in": 900,
    "refresh_token": "tixxety_refresh_019a00000000400080000000000000aa_c2hvd24gaW4gdGhlIGRvY3VtZW50YXRpb24gb25seQ",
    "refresh_expires_in": 2_592_000,
    "token_type": "bearer",
    # events
    "event_id": SOME_EVENT,
    "organiser_id": SOME_ORGANISER,
    "title": "Midsummer concert",
    "description": "An evening on the square, in any weather.",
    "time_zone": "Europe/Riga",
    "created_at": "2030-03-01T09:00:00Z",
    "starts_at": "2030-06-21T17:00:00Z",
    "ends_at": "2030-06-21T20:00:00Z",
    "sales_open_at": "2030-03-15T08:00:00Z",
    "sales_close_at": "2030-06-21T16:00:00Z",
    "starts_at_local": "2030-06-21T20:00:00+03:00",
    "ends_at_local": "2030-06-21T23:00:00+03:00",
    "sales_open_at_local": "2030-03-15T10:00:00+02:00",
    "sales_close_at_local": "2030-06-21T19:00:00+03:00",
    "on_sale": "now",
    "on_sale_changes_at": "2030-06-21T16:00:00Z",
    "max_per_buyer": 4,
    "hold_seconds": 120,
    "edition": 12,
    "hold_extension_seconds": 60,
    # ticket types
    "ticket_type_id": SOME_TICKET_TYPE,
    "capacity": 500,
    "withheld": 0,
    "reserved": 112,
    "paid": 200,
    "available": 188,
    "currency": "EUR",
    # reservations
    "reservation_id": SOME_RESERVATION,
    "buyer_id": SOME_BUYER,
    "quantity": 2,
    "amount_minor": 8000,
    "placed_at": "2030-05-01T19:28:00Z",
    "hold_expires_at": "2030-05-01T19:30:00Z",
    "payment_reference": "invoice 17",
    "refund_due_minor": 0,
    # the history
    "actor_id": SOME_BUYER,
    "account_id": SOME_BUYER,
    "auditor_id": SOME_AUDITOR,
    "request_id": SOME_REQUEST,
    "position": 1042,
    "at": "2030-05-01T19:28:00Z",
    "recorded_at": "2030-05-01T19:28:00Z",
    "is_whole": True,
    # what there is none of in these examples
    "cancelled_at": None,
    "cancel_reason": None,
    "expired_at": None,
    "extended_at": None,
    "paid_at": None,
    "next_cursor": None,
}


def shown(**fields: Any) -> dict[str, Any]:
    """For `responses=`: that the example of this answer has these fields, and others as they are composed."""
    return {"content": {"application/json": {"example": {SHOWN: json.dumps(fields)}}}}
