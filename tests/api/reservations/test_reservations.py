"""Reserving over HTTP: what is held, every refusal, the rush at the opening, and whose reservations one sees."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import (
    TOMORROW,
    UNKNOWN_ID,
    cancel,
    count_recorded,
    crowd,
    folding,
    instant,
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


async def read(client: httpx2.AsyncClient, buyer: LoggedIn, reservation: dict[str, Any]) -> dict[str, Any]:
    """One's reservation as it reads now."""
    response = await client.get(f"/reservations/{reservation['id']}", headers=buyer.headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_a_reservation_holds_tickets_for_the_events_time(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    event = await new_event(
        client, buyer, max_per_buyer=5, hold_seconds=300, ticket_types=[ticket_type("Stalls", 10, 2500)]
    )
    response = await reserve(client, buyer, event, quantity=3)
    assert response.status_code == 201
    reservation = response.json()
    position = response.headers["tixxety-position"]
    assert response.headers["location"] == f"/reservations/{reservation['id']}?min_position={position}"
    placed_at = datetime.fromisoformat(reservation["placed_at"])
    assert reservation == {
        "id": reservation["id"],
        "event_id": event["id"],
        "ticket_type_id": event["ticket_types"][0]["id"],
        "quantity": 3,
        "status": "reserved",
        "amount_minor": 7500,
        "currency": "EUR",
        "placed_at": instant(placed_at),
        "hold_expires_at": instant(placed_at + timedelta(seconds=300)),
        "refund_due_minor": 0,
    } | dict.fromkeys(["extended_at", "paid_at", "payment_reference", "expired_at", "cancelled_at", "cancel_reason"])
    followed = await client.get(response.headers["location"], headers=buyer.headers)
    assert followed.json() == reservation
    stock = (await client.get(f"/events/{event['id']}", headers=buyer.headers)).json()["ticket_types"][0]
    assert (stock["reserved"], stock["paid"], stock["available"]) == (3, 0, 7)


async def test_one_ticket_is_reserved_unless_more_are_asked_for(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    assert (await reserved(client, buyer, await new_event(client, buyer)))["quantity"] == 1


async def test_what_is_left_goes_to_whom_it_is_enough_for(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada, bert = await new_account(), await new_account()
    event = await new_event(client, ada, total_tickets=3, max_per_buyer=3)
    await reserved(client, ada, event, quantity=2)
    assert problem_of(await reserve(client, bert, event, quantity=2), 409, "sold-out")["available"] == 1
    await reserved(client, bert, event, quantity=1)
    assert problem_of(await reserve(client, bert, event, quantity=1), 409, "sold-out")["available"] == 0


async def test_the_limit_per_buyer_tells_what_the_buyer_has(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer)
    reservation = await reserved(client, buyer, event)
    problem = problem_of(await reserve(client, buyer, event), 409, "limit-per-buyer")
    assert (problem["limit"], problem["held"], problem["reservation_id"]) == (1, 1, reservation["id"])


async def test_with_several_ticket_types_one_has_to_be_named(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer, ticket_types=[ticket_type("Stalls"), ticket_type("Gallery", 1, 900)])
    problem_of(await reserve(client, buyer, event), 422, "ticket-type-required")
    unknown = await reserve(client, buyer, event, ticket_type_id=str(uuid4()))
    problem_of(unknown, 404, "ticket-type-not-found")
    gallery = event["ticket_types"][1]["id"]
    reservation = await reserved(client, buyer, event, ticket_type_id=gallery)
    assert (reservation["ticket_type_id"], reservation["amount_minor"]) == (gallery, 900)


async def test_an_event_that_is_not_there_cannot_be_reserved(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    problem_of(await reserve(client, buyer, {"id": str(uuid4())}, ticket_type_id=str(uuid4())), 404, "event-not-found")


async def test_nothing_is_sold_before_sales_open(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer, sales_open_at=instant(TOMORROW))
    problem = problem_of(await reserve(client, buyer, event), 409, "sales-not-open")
    assert problem["sales_open_at"] == instant(TOMORROW)


async def test_nothing_is_sold_once_sales_have_closed(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer, sales_close_at="2020-01-01T00:00:00Z")
    problem_of(await reserve(client, buyer, event), 409, "sales-closed")


async def test_nothing_is_sold_of_an_event_that_has_ended_or_was_cancelled(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    event = await short_event(client, buyer, sales_close_at="2020-01-01T00:00:00Z")
    await until(app, event["ends_at"])
    problem_of(await reserve(client, buyer, event), 409, "event-ended")
    called_off = await new_event(client, buyer, sales_close_at="2020-01-01T00:00:00Z")
    await cancel(client, buyer, "events", called_off)
    problem_of(await reserve(client, buyer, called_off), 409, "event-cancelled")


async def test_a_ticket_is_for_sale_again_the_moment_its_hold_is_over(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    slow, quick = await new_account(), await new_account()
    event = await new_event(client, slow, total_tickets=1, hold_seconds=1)
    missed = await reserved(client, slow, event)
    await until(app, missed["hold_expires_at"])
    assert (await read(client, slow, missed))["status"] == "reserved"
    assert (await reserved(client, quick, event))["placed_at"] >= missed["hold_expires_at"]
    expired = await read(client, slow, missed)
    assert (expired["status"], expired["paid_at"]) == ("expired", None)
    assert expired["expired_at"] >= missed["hold_expires_at"]


async def test_a_cancelled_hold_is_for_sale_again_and_cancelling_twice_is_the_same_answer(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ada, bert = await new_account(), await new_account()
    event = await new_event(client, ada, total_tickets=1)
    reservation = await reserved(client, ada, event)
    cancelled = await cancel(client, ada, "reservations", reservation)
    changes = {"status": "cancelled", "cancelled_at": cancelled.json()["cancelled_at"], "cancel_reason": "buyer"}
    assert (cancelled.status_code, cancelled.json()) == (200, reservation | changes)
    await reserved(client, bert, event)
    again = await cancel(client, ada, "reservations", reservation)
    assert (again.status_code, again.json()) == (200, cancelled.json())
    assert again.headers["tixxety-position"] == cancelled.headers["tixxety-position"]
    assert await read(client, ada, reservation) == cancelled.json()


async def test_a_hold_that_is_over_cannot_be_cancelled(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    reservation = await reserved(client, buyer, await new_event(client, buyer, hold_seconds=1))
    await until(app, reservation["hold_expires_at"])
    problem = problem_of(await cancel(client, buyer, "reservations", reservation), 409, "hold-expired")
    assert problem["hold_expires_at"] == reservation["hold_expires_at"]


@pytest.mark.parametrize("of_somebody", [True, False])
async def test_another_buyers_reservation_is_as_little_there_as_none(
    client: httpx2.AsyncClient, new_account: LogIn, of_somebody: bool
) -> None:
    ada, bert = await new_account(), await new_account()
    event = await new_event(client, bert)
    reservation = await reserved(client, ada, event) if of_somebody else {"id": str(uuid4())}
    path = f"/reservations/{reservation['id']}"
    answers = [
        await client.get(path, headers=bert.headers),
        await pay(client, bert, reservation),
        await cancel(client, bert, "reservations", reservation),
    ]
    problems = [problem_of(answer, 404, "not-found") for answer in answers]
    assert len({problem["detail"] for problem in problems}) == 1
    assert (await client.get("/reservations", headers=bert.headers)).json() == {"items": [], "next_cursor": None}
    if of_somebody:
        assert await read(client, ada, reservation) == reservation


async def test_reservations_are_listed_newest_first_and_by_status_and_event(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    first_event, second_event = await new_event(client, buyer, max_per_buyer=9), await new_event(client, buyer)
    held = await reserved(client, buyer, first_event)
    paid = (await pay(client, buyer, await reserved(client, buyer, first_event))).json()
    other = await reserved(client, buyer, second_event)

    async def listed(query: str) -> list[dict[str, Any]]:
        response = await client.get(f"/reservations{query}", headers=buyer.headers)
        items: list[dict[str, Any]] = response.json()["items"]
        return items

    assert await listed("") == [other, paid, held]
    assert await listed("?status=reserved") == [other, held]
    assert await listed("?status=paid") == [paid]
    assert await listed("?status=expired") == []
    assert await listed(f"?event_id={first_event['id']}") == [paid, held]
    assert await listed(f"?event_id={first_event['id']}&status=reserved") == [held]
    assert await listed(f"?event_id={uuid4()}") == []


@pytest.mark.parametrize("path", ["/reservations", f"/reservations/{UNKNOWN_ID}"])
async def test_reservations_need_an_account(client: httpx2.AsyncClient, path: str) -> None:
    problem_of(await client.get(path), 401, "not-authenticated")


async def test_of_200_buyers_at_once_50_get_the_50_tickets(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    event = await new_event(client, await new_account(), total_tickets=50)
    before = [await count_recorded(app, kind) for kind in ("ReservationPlaced", "TicketsHeld")]
    answers = await asyncio.gather(*[reserve(client, buyer, event) for buyer in await crowd(app, 200)])
    assert Counter(answer.status_code for answer in answers) == {201: 50, 409: 150}
    assert {problem_of(a, 409, "sold-out")["available"] for a in answers if a.status_code == 409} == {0}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 50
    recorded = [await count_recorded(app, kind) for kind in ("ReservationPlaced", "TicketsHeld")]
    assert recorded == [one + 50 for one in before]
    last = max(int(answer.headers["tixxety-position"]) for answer in answers if answer.status_code == 201)
    [stock] = (await client.get(f"/events/{event['id']}?min_position={last}")).json()["ticket_types"]
    assert (stock["reserved"], stock["available"]) == (50, 0)


async def test_one_buyer_asking_20_times_at_once_stays_within_the_limit(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer, total_tickets=50)
    before = await count_recorded(app, "TicketsHeld")
    answers = await asyncio.gather(*[reserve(client, buyer, event) for _ in range(20)])
    [granted] = [answer.json() for answer in answers if answer.status_code == 201]
    refused = [problem_of(answer, 409, "limit-per-buyer") for answer in answers if answer.status_code != 201]
    assert {problem["reservation_id"] for problem in refused} == {granted["id"]}
    assert await count_recorded(app, "TicketsHeld") == before + 1
