"""Part of a purchase is cancelled over HTTP: held or paid, with the refund due, once for each key."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import count_recorded, folding, new_event, pay, reserve, reserved, ticket_type


@pytest.fixture
def app(shared_app: FastAPI) -> FastAPI:
    """One for all tests here."""
    return shared_app


@pytest.fixture(scope="module", autouse=True)
async def _projections(shared_app: FastAPI) -> AsyncIterator[None]:
    async with folding(shared_app.state.services.config.box_office):
        yield


async def three(client: httpx2.AsyncClient, buyer: LoggedIn) -> tuple[dict[str, Any], dict[str, Any]]:
    """All three tickets of a new event of the buyer's own, and the event."""
    event = await new_event(client, buyer, max_per_buyer=3, ticket_types=[ticket_type("Stalls", 3, 1250)])
    return await reserved(client, buyer, event, quantity=3), event


async def cancel(
    client: httpx2.AsyncClient, buyer: LoggedIn, reservation: dict[str, Any], body: Any, key: str | None = None
) -> httpx2.Response:
    headers = buyer.headers | ({"Idempotency-Key": key} if key else {})
    return await client.post(f"/reservations/{reservation['id']}/cancel", json=body, headers=headers)


async def read(client: httpx2.AsyncClient, buyer: LoggedIn, answered: httpx2.Response) -> dict[str, Any]:
    path = f"/reservations/{answered.json()['id']}?min_position={answered.headers['tixxety-position']}"
    told: dict[str, Any] = (await client.get(path, headers=buyer.headers)).json()
    return told


async def test_one_of_three_held_tickets_is_given_back_and_for_sale_at_once(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer, next_one = await new_account(), await new_account()
    reservation, event = await three(client, buyer)
    problem_of(await reserve(client, next_one, event), 409, "sold-out")
    answered = await cancel(client, buyer, reservation, {"quantity": 1})
    assert answered.status_code == 200
    assert answered.json() == reservation | {"quantity": 2, "amount_minor": 2500} == await read(client, buyer, answered)
    await reserved(client, next_one, event)
    paid = (await pay(client, buyer, reservation)).json()
    assert (paid["status"], paid["quantity"], paid["amount_minor"], paid["refund_due_minor"]) == ("paid", 2, 2500, 0)


async def test_paid_tickets_are_refunded_part_by_part_and_the_rest_at_last(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    reservation, event = await three(client, buyer)
    paid = (await pay(client, buyer, reservation)).json()
    answered = await cancel(client, buyer, reservation, {"quantity": 2})
    left = {"quantity": 1, "amount_minor": 1250, "refund_due_minor": 2500}
    assert answered.json() == paid | left == await read(client, buyer, answered)
    (stock,) = (await client.get(f"/events/{event['id']}", headers=buyer.headers)).json()["ticket_types"]
    assert (stock["paid"], stock["available"]) == (1, 2)
    answered = await cancel(client, buyer, reservation, {"quantity": 1})
    ended = await read(client, buyer, answered)
    assert ended == answered.json()
    assert (ended["status"], ended["refund_due_minor"], ended["cancel_reason"]) == ("cancelled", 3750, "buyer")
    sales = (await client.get(f"/analytics/events/{event['id']}/sales", headers=buyer.headers)).json()["items"]
    told = [sum(item[name] for item in sales) for name in ("cancelled", "tickets_cancelled", "tickets_returned")]
    assert (told, sum(item["refunds_minor"] for item in sales)) == ([1, 3, 3], 3750)


@pytest.mark.parametrize("body", [None, {}, {"quantity": None}, {"quantity": 3}])
async def test_all_of_it_may_be_named_or_not(
    client: httpx2.AsyncClient, new_account: LogIn, body: dict[str, Any] | None
) -> None:
    buyer = await new_account()
    reservation, _ = await three(client, buyer)
    assert (await cancel(client, buyer, reservation, body)).json()["status"] == "cancelled"


async def test_more_than_there_is_is_refused_and_so_is_no_number(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer, somebody = await new_account(), await new_account()
    reservation, _ = await three(client, buyer)
    assert (
        problem_of(await cancel(client, buyer, reservation, {"quantity": 4}), 409, "more-than-reserved")["quantity"]
        == 3
    )
    for quantity in (0, -1, 1.5, "1", True, 10_001, []):
        problem_of(await cancel(client, buyer, reservation, {"quantity": quantity}), 422, "invalid-request")
    problem_of(await cancel(client, buyer, reservation, {"tickets": 1}), 422, "invalid-request")
    problem_of(await cancel(client, somebody, reservation, {"quantity": 1}), 404, "not-found")


async def test_a_part_is_given_back_once_for_each_key(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    reservation, _ = await three(client, buyer)
    before = await count_recorded(app, "TicketsReduced")
    first = await cancel(client, buyer, reservation, {"quantity": 1}, "one")
    again = await cancel(client, buyer, reservation, {"quantity": 1}, "one")
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    second = await cancel(client, buyer, reservation, {"quantity": 1}, "two")
    assert second.json()["quantity"] == 1
    problem_of(await cancel(client, buyer, reservation, {"quantity": 2}, "one"), 422, "idempotency-key-reused")
    problem_of(await cancel(client, buyer, reservation, None, "one"), 422, "idempotency-key-reused")
    ended = await cancel(client, buyer, reservation, None, "all")
    assert (await cancel(client, buyer, reservation, {"quantity": None}, "all")).content == ended.content
    assert (await cancel(client, buyer, reservation, {"quantity": 1}, "one")).content == first.content
    assert await count_recorded(app, "TicketsReduced") == before + 2
