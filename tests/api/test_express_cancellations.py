"""However a part is given back, the express lane and the framework answer alike."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.conftest import AtOnce, LogIn
from tests.api.programme import crowd, new_event, pay, reserved, ticket_type

QUANTITIES = ("1", "2", "3", "4", "0", "-1", "1.0", "1e0", "01", '"1"', "true", "null", "[1]", "10000", "10001", "1 ")
BODIES = [
    *(f'{{"quantity": {quantity}}}' for quantity in QUANTITIES),
    '{"quantity": 1, "quantity": 2}',
    '{"quantity": 1, "quantit\\u0079": 1}',
    '{"quantity": 1, "reason": "ill"}',
    '{"Quantity": 1}',
    '{"quantity":1}  ',
    "{}",
    "1",
    '{"quantity": 1',
]


@pytest.fixture
async def framework(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """The application without the lane."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(AtOnce(app)), base_url="http://box-office") as client:
        yield client


@pytest.mark.parametrize("is_paid", [False, True])
async def test_however_a_part_is_given_back_both_ways_answer_alike(
    app: FastAPI, client: httpx2.AsyncClient, framework: httpx2.AsyncClient, new_account: LogIn, is_paid: bool
) -> None:
    stalls = ticket_type("Stalls", 10_000, 1250)
    event = await new_event(client, await new_account(), ticket_types=[stalls], max_per_buyer=9)
    for body, buyer in zip(BODIES, await crowd(app, len(BODIES)), strict=True):
        answers: list[Any] = []
        for each in (client, framework):
            reservation = await reserved(client, buyer, event, quantity=3)
            if is_paid:
                await pay(client, buyer, reservation)
            path, headers = f"/reservations/{reservation['id']}/cancel", buyer.headers | {"Idempotency-Key": "one"}
            for key in ({}, headers, headers):
                sent = buyer.headers | key | {"Content-Type": "application/json"}
                answer = await each.post(path, content=body.encode(), headers=sent)
                told = {
                    name: value
                    for name, value in answer.json().items()
                    if name not in ("id", "request_id") and not name.endswith("_at")
                }
                answers.append((answer.status_code, told, set(answer.headers)))
            await client.post(path, headers=buyer.headers)
        assert answers[:3] == answers[3:], body
