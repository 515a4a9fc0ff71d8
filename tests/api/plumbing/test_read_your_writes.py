"""Reading waits for the projections: for what one may have written oneself, or for what `min_position` asks."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from api.plumbing import read_your_writes
from tests.api.conftest import LogIn, problem_of
from tests.api.programme import event_body, folding, new_event, reserve, reserved


async def test_what_was_written_is_there_for_its_writer_at_once(
    database_url: str, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    async with folding(database_url):
        for _ in range(20):
            event = await new_event(client, buyer)
            reservation = await reserved(client, buyer, event)
            read = await client.get(f"/reservations/{reservation['id']}", headers=buyer.headers)
            assert read.json() == reservation
            stock = (await client.get(f"/events/{event['id']}", headers=buyer.headers)).json()["ticket_types"][0]
            assert stock["reserved"] == 1
            listed = await client.get("/reservations?limit=1", headers=buyer.headers)
            assert listed.json()["items"] == [reservation]


async def test_locations_can_be_followed_by_anybody_at_once(
    database_url: str, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    async with folding(database_url):
        for _ in range(20):
            created = await client.post("/events", json=event_body(), headers=organiser.headers)
            read = await client.get(created.headers["location"])
            assert (read.status_code, read.json()) == (200, created.json())


READING = [
    *("/events", "/events/{event_id}", "/events/for-you", "/events/{event_id}/reservations"),
    *("/reservations", "/reservations/{reservation_id}"),
]


def test_these_are_all_routes_that_read_the_projections(app: FastAPI) -> None:
    reading = [
        path
        for path, methods in app.openapi()["paths"].items()
        if path.startswith(("/events", "/reservations")) and "get" in methods
    ]
    assert sorted(reading) == sorted(READING)
    for path in reading:
        parameters = app.openapi()["paths"][path]["get"]["parameters"]
        assert "min_position" in [parameter["name"] for parameter in parameters], path


@pytest.mark.parametrize("path", READING)
async def test_a_reader_who_asks_for_a_position_gets_it_once_it_is_there(
    app: FastAPI, database_url: str, client: httpx2.AsyncClient, new_account: LogIn, path: str
) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer)
    response = await reserve(client, buyer, event)
    path = path.format(event_id=event["id"], reservation_id=response.json()["id"])
    params = {"min_position": response.headers["tixxety-position"]}
    reading = asyncio.create_task(client.get(path, params=params, headers=buyer.headers))
    await waits_for(app, int(params["min_position"]), reading)
    async with folding(database_url):
        read = await reading
    assert (read.status_code, event["id"] in read.text) == (200, True)


async def test_what_is_wrong_with_a_request_is_told_without_waiting(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    headers = (await new_account()).headers
    for query in ("limit=-1", "cursor=none", "colour=red"):
        for path in ("/events", "/reservations"):
            response = await client.get(f"{path}?min_position=99999999&{query}", headers=headers)
            problem_of(response, 422, "invalid-request")
    for path in ("/events/xx", "/reservations/xx"):
        problem_of(await client.get(f"{path}?min_position=99999999", headers=headers), 404, "not-found")


async def waits_for(app: FastAPI, position: int, reading: asyncio.Task[Any]) -> None:
    """Look until the request waits for the projections to reach the position."""
    while not any(wanted == position for wanted, _ in app.state.services.checkpoint_watcher._waiters):
        assert not reading.done()
        await asyncio.sleep(0)


async def test_reading_waits_without_a_connection(app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    created = await client.post("/events", json=event_body(), headers=buyer.headers)
    position = int(created.headers["tixxety-position"])
    params = {"min_position": position}
    waiting = [
        asyncio.create_task(client.get("/reservations", params=params, headers=buyer.headers)) for _ in range(50)
    ]
    await waits_for(app, position, waiting[0])
    assert (await client.get("/auth/me", headers=buyer.headers)).status_code == 200
    assert not any(task.done() for task in waiting)
    for response in await asyncio.gather(*waiting):
        problem_of(response, 503, "projection-behind")


async def test_a_position_that_does_not_come_is_a_problem_that_says_when_to_try_again(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    created = await client.post("/events", json=event_body(), headers=buyer.headers)
    path = created.headers["location"]
    for response in await asyncio.gather(client.get(path), client.get(path, headers=buyer.headers)):
        problem = problem_of(response, 503, "projection-behind")
        assert (problem["min_position"], problem["position"]) == (1, 0)
        assert response.headers["retry-after"] == str(problem["retry_after_seconds"])


@pytest.mark.parametrize("authenticated", [True, False])
async def test_position_0_does_not_wait(
    monkeypatch: pytest.MonkeyPatch, client: httpx2.AsyncClient, new_account: LogIn, authenticated: bool
) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer)
    monkeypatch.setattr(read_your_writes, "USUAL_PATIENCE_SECONDS", 3600)
    headers = buyer.headers if authenticated else {}
    response = await client.get(f"/events/{event['id']}?min_position=0", headers=headers)
    problem_of(response, 404, "event-not-found")


async def test_a_stranger_reads_what_there_is(
    monkeypatch: pytest.MonkeyPatch, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    event = await new_event(client, await new_account())
    monkeypatch.setattr(read_your_writes, "USUAL_PATIENCE_SECONDS", 3600)
    problem_of(await client.get(f"/events/{event['id']}"), 404, "event-not-found")
    assert (await client.get("/events")).json()["items"] == []


async def test_without_projections_a_writer_gets_what_there_is_after_a_while(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    reservation = await reserved(client, buyer, await new_event(client, buyer))
    problem_of(await client.get(f"/reservations/{reservation['id']}", headers=buyer.headers), 404, "not-found")
    assert (await client.get("/reservations", headers=buyer.headers)).json()["items"] == []


async def test_paying_and_cancelling_do_not_need_the_projections(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer)
    for _ in range(2):
        reservation = await reserved(client, buyer, event)
        path = f"/reservations/{reservation['id']}"
        assert (await client.post(f"{path}/pay", headers=buyer.headers)).json()["status"] == "paid"
        assert (await client.post(f"{path}/cancel", headers=buyer.headers)).json()["status"] == "cancelled"


@pytest.mark.parametrize("position", ["-1", "1.0", "one", "", "9" * 19])
async def test_a_position_is_a_number_that_a_history_can_have(client: httpx2.AsyncClient, position: str) -> None:
    response = await client.get(f"/events/{uuid4()}", params={"min_position": position})
    assert problem_of(response, 422, "invalid-request")["errors"][0]["path"] == "min_position"
