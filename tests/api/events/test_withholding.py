"""Tickets are taken out of sale and put back over HTTP."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import UNKNOWN_ID, count_recorded, crowd, folding, new_event, reserve, reserved, ticket_type


@pytest.fixture
def app(shared_app: FastAPI) -> FastAPI:
    """One for all tests here."""
    return shared_app


@pytest.fixture(scope="module", autouse=True)
async def _projections(shared_app: FastAPI) -> AsyncIterator[None]:
    async with folding(shared_app.state.services.config.box_office):
        yield


async def move(
    client: httpx2.AsyncClient, account: LoggedIn, event: dict[str, Any], verb: str, quantity: int, **more: Any
) -> httpx2.Response:
    """Withhold or return tickets; `key` and `if_match` become headers."""
    headers = dict(account.headers)
    headers |= {name: more.pop(field) for field, name in HEADERS.items() if field in more}
    body = {"quantity": quantity, **more}
    return await client.post(f"/events/{event['id']}/{verb}", json=body, headers=headers)


HEADERS = {"key": "Idempotency-Key", "if_match": "If-Match"}


def counts(answer: dict[str, Any], place: int = 0) -> tuple[int, int, int, int]:
    offer = answer["ticket_types"][place]
    return offer["capacity"], offer["withheld"], offer["reserved"], offer["available"]


async def test_what_is_withheld_can_not_be_reserved_until_it_is_returned(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser, buyer = await new_account(), await new_account()
    event = await new_event(client, organiser, total_tickets=3, max_per_buyer=3)
    answered = await move(client, organiser, event, "withhold", 2)
    assert (answered.status_code, counts(answered.json())) == (200, (3, 2, 0, 1))
    assert answered.json()["edition"] == 2
    position = answered.headers["tixxety-position"]
    assert (await client.get(f"/events/{event['id']}", params={"min_position": position})).json() == answered.json()
    problem = problem_of(await reserve(client, buyer, event, quantity=2), 409, "sold-out")
    assert problem["available"] == 1
    assert counts((await move(client, organiser, event, "return", 1)).json()) == (3, 1, 0, 2)
    assert (await reserve(client, buyer, event, quantity=2)).status_code == 201
    problem_of(await move(client, organiser, event, "withhold", 1), 409, "too-few-to-withhold")
    problem = problem_of(await move(client, organiser, event, "return", 2), 409, "too-few-withheld")
    assert (problem["withheld"], problem["ticket_type_id"]) == (1, event["ticket_types"][0]["id"])
    smaller = await client.patch(f"/events/{event['id']}", json={"total_tickets": 2}, headers=organiser.headers)
    assert problem_of(smaller, 409, "capacity-below-taken")["taken"] == 3


async def test_of_several_types_one_is_named(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, ticket_types=[ticket_type("Stalls"), ticket_type("Gallery", 4)])
    problem_of(await move(client, organiser, event, "withhold", 1), 422, "ticket-type-required")
    unknown = await move(client, organiser, event, "withhold", 1, ticket_type_id=UNKNOWN_ID)
    problem_of(unknown, 404, "ticket-type-not-found")
    gallery = event["ticket_types"][1]["id"]
    answered = await move(client, organiser, event, "withhold", 4, ticket_type_id=gallery)
    assert (counts(answered.json()), counts(answered.json(), 1)) == ((10, 0, 0, 10), (4, 4, 0, 0))


async def test_with_a_key_it_is_done_once(app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, total_tickets=9)
    before = await count_recorded(app, "TicketsWithheld")
    first = await move(client, organiser, event, "withhold", 2, key="two", if_match='"1"')
    again = await move(client, organiser, event, "withhold", 2, key="two", if_match='"1"')
    assert again.json() == first.json()
    assert (first.headers.get("idempotent-replayed"), again.headers.get("idempotent-replayed")) == (None, "true")
    problem_of(await move(client, organiser, event, "withhold", 3, key="two"), 422, "idempotency-key-reused")
    assert await count_recorded(app, "TicketsWithheld") == before + 1
    # A key counts for one route: the same may return them.
    returned = await move(client, organiser, event, "return", 2, key="two")
    assert (returned.status_code, counts(returned.json())) == (200, (9, 0, 0, 9))


async def test_of_another_edition_nothing_is_withheld(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    for verb in ("withhold", "return"):
        problem_of(await move(client, organiser, event, verb, 1, if_match='"7"'), 412, "changed-meanwhile")


@pytest.mark.parametrize("quantity", [0, -1, 10_000_001, "1", 1.5, None])
async def test_a_quantity_is_a_number_of_tickets(client: httpx2.AsyncClient, new_account: LogIn, quantity: Any) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    problem = problem_of(await move(client, organiser, event, "withhold", quantity), 422, "invalid-request")
    assert problem["errors"][0]["path"] == "quantity"


async def test_in_a_rush_never_more_are_reserved_and_withheld_than_there_are(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser, buyers = await new_account(), await crowd(app, 30)
    event = await new_event(client, organiser, total_tickets=20)
    wishes = [reserve(client, buyer, event) for buyer in buyers]
    moves = [move(client, organiser, event, "withhold", 1) for _ in range(15)]
    answers = await asyncio.gather(*moves, *wishes)
    statuses = Counter(answer.status_code for answer in answers)
    assert (statuses[200] + statuses[201], statuses[409]) == (20, 25)
    read = await client.get(f"/events/{event['id']}", headers=organiser.headers)
    assert counts(read.json()) == (20, statuses[200], statuses[201], 0)


async def test_a_cancelled_reservation_is_for_sale_again(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser, buyer = await new_account(), await new_account()
    event = await new_event(client, organiser, total_tickets=1)
    held = await reserved(client, buyer, event)
    problem_of(await move(client, organiser, event, "withhold", 1), 409, "too-few-to-withhold")
    await client.post(f"/events/{event['id']}/reservations/{held['id']}/cancel", headers=organiser.headers)
    assert counts((await move(client, organiser, event, "withhold", 1)).json()) == (1, 1, 0, 0)
