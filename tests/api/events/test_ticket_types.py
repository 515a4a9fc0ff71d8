"""Ticket types are added and prices changed over HTTP; what is reserved keeps its amount."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import UNKNOWN_ID, count_recorded, folding, new_event, pay, reserved, ticket_type


@pytest.fixture
def app(shared_app: FastAPI) -> FastAPI:
    """One for all tests here."""
    return shared_app


@pytest.fixture(scope="module", autouse=True)
async def _projections(shared_app: FastAPI) -> AsyncIterator[None]:
    async with folding(shared_app.state.services.config.box_office):
        yield


async def add(
    client: httpx2.AsyncClient, account: LoggedIn, event: dict[str, Any], key: str | None = None, **body: Any
) -> httpx2.Response:
    headers = account.headers | ({"Idempotency-Key": key} if key else {})
    return await client.post(f"/events/{event['id']}/ticket-types", json=body, headers=headers)


async def reprice(
    client: httpx2.AsyncClient, account: LoggedIn, event: dict[str, Any], *types: dict[str, Any]
) -> httpx2.Response:
    return await client.patch(f"/events/{event['id']}", json={"ticket_types": types}, headers=account.headers)


async def test_an_added_type_stands_last_and_is_on_sale(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser, buyer = await new_account(), await new_account()
    event = await new_event(client, organiser, ticket_types=[ticket_type("Stalls")])
    answered = await add(client, organiser, event, **ticket_type("Gallery", 4, 900))
    assert answered.status_code == 201, answered.text
    added = answered.json()
    assert [offer["name"] for offer in added["ticket_types"]] == ["Stalls", "Gallery"]
    assert added["edition"] == 2
    gallery = added["ticket_types"][1]
    counts = {"capacity": 4, "reserved": 0, "paid": 0, "withheld": 0, "available": 4}
    assert gallery == ticket_type("Gallery", 4, 900) | counts | {"id": gallery["id"]}
    assert (await client.get(answered.headers["location"])).json() == added
    bought = await reserved(client, buyer, event, ticket_type_id=gallery["id"])
    assert bought["amount_minor"] == 900


async def test_a_name_is_free_only_once_also_at_the_same_moment(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, ticket_types=[ticket_type("Stalls")])
    twin = problem_of(await add(client, organiser, event, **ticket_type("  STALLS ")), 422, "invalid-request")
    assert twin["errors"][0]["path"] == "name"
    answers = await asyncio.gather(*(add(client, organiser, event, **ticket_type("Gallery")) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]


async def test_with_a_key_it_is_added_once(app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, ticket_types=[ticket_type("Stalls")])
    before = await count_recorded(app, "TicketTypeAdded")
    first, again = [await add(client, organiser, event, "g", **ticket_type("Gallery")) for _ in range(2)]
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    problem_of(await add(client, organiser, event, "g", **ticket_type("Box")), 422, "idempotency-key-reused")
    assert await count_recorded(app, "TicketTypeAdded") == before + 1


async def test_what_is_added_is_as_strict_as_what_is_created(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    for wrong, path in (
        ({"name": ""}, "name"),
        ({"capacity": 0}, "capacity"),
        ({"currency": "XXX"}, "currency"),
        ({"currency": "DEM"}, "currency"),
        ({"amount_minor": -1}, "amount_minor"),
        ({"id": UNKNOWN_ID}, "id"),
    ):
        problem = problem_of(await add(client, organiser, event, **ticket_type("Box") | wrong), 422, "invalid-request")
        assert problem["errors"][0]["path"] == path


async def test_a_price_changes_for_reservations_to_come(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser, ann, ben = [await new_account() for _ in range(3)]
    event = await new_event(client, organiser, ticket_types=[ticket_type("Stalls", 9, 2500)], max_per_buyer=2)
    stalls = event["ticket_types"][0]["id"]
    anns = await reserved(client, ann, event, quantity=2)
    changed = await reprice(client, organiser, event, {"id": stalls, "amount_minor": 3000})
    assert (changed.status_code, changed.json()["ticket_types"][0]["amount_minor"]) == (200, 3000)
    position = changed.headers["tixxety-position"]
    assert (await client.get(f"/events/{event['id']}", params={"min_position": position})).json() == changed.json()
    bens = await reserved(client, ben, event)
    assert (anns["amount_minor"], bens["amount_minor"]) == (5000, 3000)
    paid = await pay(client, ann, anns)
    assert paid.json()["amount_minor"] == 5000
    refunded = await client.post(f"/reservations/{anns['id']}/cancel", headers=ann.headers)
    assert refunded.json()["refund_due_minor"] == 5000


async def test_capacity_and_price_change_together_or_one_of_them(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, ticket_types=[ticket_type("Stalls", 9), ticket_type("Gallery", 5)])
    stalls, gallery = [offer["id"] for offer in event["ticket_types"]]
    both = await reprice(
        client, organiser, event, {"id": stalls, "capacity": 3, "amount_minor": 1}, {"id": gallery, "capacity": 6}
    )
    told = [(offer["capacity"], offer["amount_minor"]) for offer in both.json()["ticket_types"]]
    assert told == [(3, 1), (6, 2500)]
    nothing = problem_of(await reprice(client, organiser, event, {"id": stalls}), 422, "invalid-request")
    assert nothing["errors"][0]["path"] == "ticket_types.0"
    for wrong in ({"amount_minor": None}, {"amount_minor": -1}, {"amount_minor": 10**15}, {"currency": "EUR"}):
        problem_of(await reprice(client, organiser, event, {"id": stalls} | wrong), 422, "invalid-request")
    unknown = await reprice(client, organiser, event, {"id": UNKNOWN_ID, "amount_minor": 1})
    problem_of(unknown, 404, "ticket-type-not-found")


async def test_a_free_type_without_a_currency_stays_free(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    answered = await reprice(client, organiser, event, {"id": event["ticket_types"][0]["id"], "amount_minor": 1})
    problem = problem_of(answered, 422, "invalid-request")
    assert problem["errors"][0]["path"] == "amount_minor"
