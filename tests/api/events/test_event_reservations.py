"""An organiser and the reservations of the event: one is cancelled, with the refund due."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import (
    UNKNOWN_ID,
    an_auditor,
    count_recorded,
    folding,
    new_event,
    pay,
    reserve,
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


async def revoke(
    client: httpx2.AsyncClient, account: LoggedIn, event: dict[str, Any], reservation_id: str, key: str | None = None
) -> httpx2.Response:
    headers = account.headers | ({"Idempotency-Key": key} if key else {})
    return await client.post(f"/events/{event['id']}/reservations/{reservation_id}/cancel", headers=headers)


async def test_paid_tickets_are_cancelled_with_the_refund_due_and_the_buyer_sees_it(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser, buyer = await new_account(), await new_account()
    event = await new_event(client, organiser, ticket_types=[ticket_type("Stalls", 1, 2500)])
    bought = await reserved(client, buyer, event)
    assert (await pay(client, buyer, bought)).status_code == 200
    answered = await revoke(client, organiser, event, bought["id"])
    assert answered.status_code == 200, answered.text
    cancelled = answered.json()
    told = (cancelled["status"], cancelled["cancel_reason"], cancelled["refund_due_minor"])
    assert told == ("cancelled", "organiser", 2500)
    position = answered.headers["tixxety-position"]
    read = await client.get(f"/reservations/{bought['id']}", params={"min_position": position}, headers=buyer.headers)
    assert read.json() == cancelled
    assert (await reserve(client, await new_account(), event)).status_code == 201


async def test_they_are_cancelled_also_after_the_event_has_ended(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser, buyer = await new_account(), await new_account()
    event = await short_event(client, organiser, total_tickets=None, ticket_types=[ticket_type("Stalls", 3, 900)])
    bought = await reserved(client, buyer, event)
    assert (await pay(client, buyer, bought)).status_code == 200
    await until(app, event["ends_at"])
    mine = await client.post(f"/reservations/{bought['id']}/cancel", headers=buyer.headers)
    problem_of(mine, 409, "event-ended")
    cancelled = await revoke(client, organiser, event, bought["id"])
    assert (cancelled.status_code, cancelled.json()["refund_due_minor"]) == (200, 900)


async def test_an_admin_may_and_neither_the_buyer_nor_another_organiser(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser, buyer, other = await new_account(), await new_account(), await new_account()
    event, elsewhere = await new_event(client, organiser), await new_event(client, other)
    held = await reserved(client, buyer, event)
    for somebody in (buyer, other):
        problem_of(await revoke(client, somebody, event, held["id"]), 403, "forbidden")
    # Not by way of an event of one's own, either.
    problem_of(await revoke(client, other, elsewhere, held["id"]), 404, "not-found")
    admin = await an_auditor(app, "admin")
    assert (await revoke(client, admin, event, held["id"])).json()["status"] == "cancelled"


async def test_a_key_records_it_once(app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser, buyer = await new_account(), await new_account()
    event = await new_event(client, organiser)
    held = await reserved(client, buyer, event)
    before = await count_recorded(app, "ReservationCancelled")
    first = await revoke(client, organiser, event, held["id"], "once")
    again = await revoke(client, organiser, event, held["id"], "once")
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert await count_recorded(app, "ReservationCancelled") == before + 1


async def test_what_is_not_there_is_not_found(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    for reservation_id in (UNKNOWN_ID, event["id"], "42"):
        problem_of(await revoke(client, organiser, event, reservation_id), 404, "not-found")
