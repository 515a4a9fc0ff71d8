"""Paying over HTTP: in time, once, with the same answer again; and giving paid tickets back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import (
    cancel,
    count_recorded,
    folding,
    new_event,
    pay,
    reserved,
    short_event,
    ticket_type,
    until,
)


@pytest.fixture
def app(shared_app: FastAPI) -> FastAPI:
    """One for all tests here."""
    return shared_app


@pytest.fixture(scope="module", autouse=True)
async def _projections(shared_app: FastAPI) -> AsyncIterator[None]:
    async with folding(shared_app.state.services.config.box_office):
        yield


async def held(client: httpx2.AsyncClient, buyer: LoggedIn, amount_minor: int = 2500, **changes: Any) -> dict[str, Any]:
    """A reservation of two tickets of a new event of the buyer's own."""
    stalls = ticket_type("Stalls", 10, amount_minor)
    event = await new_event(client, buyer, max_per_buyer=2, ticket_types=[stalls], **changes)
    return await reserved(client, buyer, event, quantity=2)


async def test_a_paid_reservation_reads_as_it_was_answered(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    reservation = await held(client, buyer)
    paid = await pay(client, buyer, reservation, " invoice 7 ")
    paid_at = paid.json()["paid_at"]
    assert reservation["placed_at"] <= paid_at < reservation["hold_expires_at"]
    changes = {"status": "paid", "paid_at": paid_at, "payment_reference": "invoice 7"}
    assert (paid.status_code, paid.json()) == (200, reservation | changes)
    path = f"/reservations/{reservation['id']}?min_position={paid.headers['tixxety-position']}"
    assert (await client.get(path, headers=buyer.headers)).json() == paid.json()
    event = (await client.get(f"/events/{reservation['event_id']}", headers=buyer.headers)).json()
    assert {name: event["ticket_types"][0][name] for name in ("reserved", "paid", "available")} == {
        "reserved": 0,
        "paid": 2,
        "available": 8,
    }


async def test_free_tickets_are_paid_too(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    paid = (await pay(client, buyer, await held(client, buyer, amount_minor=0))).json()
    assert (paid["status"], paid["amount_minor"], paid["payment_reference"]) == ("paid", 0, None)


@pytest.mark.parametrize("reference", [None, "invoice 7"])
async def test_paying_again_with_the_same_reference_is_the_same_answer(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn, reference: str | None
) -> None:
    buyer = await new_account()
    reservation = await held(client, buyer)
    before = await count_recorded(app, "ReservationPaid")
    answers = await asyncio.gather(*[pay(client, buyer, reservation, reference) for _ in range(10)])
    answers.append(await pay(client, buyer, reservation, reference))
    assert {(a.status_code, a.content, a.headers["tixxety-position"]) for a in answers} == {
        (200, answers[0].content, answers[0].headers["tixxety-position"])
    }
    assert await count_recorded(app, "ReservationPaid") == before + 1


@pytest.mark.parametrize(("reference", "another"), [(None, "invoice 7"), ("invoice 7", None), ("a", "b")])
async def test_paying_again_with_another_reference_is_refused(
    client: httpx2.AsyncClient, new_account: LogIn, reference: str | None, another: str | None
) -> None:
    buyer = await new_account()
    reservation = await held(client, buyer)
    await pay(client, buyer, reservation, reference)
    problem_of(await pay(client, buyer, reservation, another), 409, "not-payable")


async def test_a_hold_that_is_over_cannot_be_paid(app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    reservation = await held(client, buyer, hold_seconds=1)
    await until(app, reservation["hold_expires_at"])
    problem = problem_of(await pay(client, buyer, reservation), 409, "hold-expired")
    assert problem["hold_expires_at"] == reservation["hold_expires_at"]


async def test_a_cancelled_reservation_cannot_be_paid(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    reservation = await held(client, buyer)
    await cancel(client, buyer, "reservations", reservation)
    problem_of(await pay(client, buyer, reservation), 409, "not-payable")


async def test_nothing_of_a_cancelled_event_can_be_paid(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    reservation = await held(client, buyer)
    await cancel(client, buyer, "events", {"id": reservation["event_id"]})
    problem_of(await pay(client, buyer, reservation), 409, "event-cancelled")


async def test_cancelling_what_was_paid_records_the_refund(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    reservation = await held(client, buyer, amount_minor=1250)
    paid = (await pay(client, buyer, reservation, "invoice 7")).json()
    cancelled = await cancel(client, buyer, "reservations", reservation)
    assert cancelled.json() == paid | {
        "status": "cancelled",
        "cancelled_at": cancelled.json()["cancelled_at"],
        "cancel_reason": "buyer",
        "refund_due_minor": 2500,
    }
    read = await client.get(f"/reservations/{reservation['id']}", headers=buyer.headers)
    assert read.json() == cancelled.json()
    problem_of(await pay(client, buyer, reservation, "invoice 7"), 409, "not-payable")


async def test_a_hold_may_be_paid_after_the_event_has_ended_but_not_given_back(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    event = await short_event(client, buyer, begins_in_seconds=2)
    reservation = await reserved(client, buyer, event)
    await until(app, event["ends_at"])
    assert (await pay(client, buyer, reservation)).json()["status"] == "paid"
    problem_of(await cancel(client, buyer, "reservations", reservation), 409, "event-ended")


async def test_paying_needs_the_buyers_account(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    reservation = await held(client, buyer)
    for path in ("pay", "cancel"):
        response = await client.post(f"/reservations/{reservation['id']}/{path}")
        problem_of(response, 401, "not-authenticated")
    await client.delete("/auth/me", headers=buyer.headers)
    problem_of(await pay(client, buyer, reservation), 401, "not-authenticated")
