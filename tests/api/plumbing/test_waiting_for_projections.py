"""Reading your own writes: who waits for the projections, for how much, and without holding up others."""

import asyncio
from dataclasses import replace

import httpx2
import pytest

from api.app import ApiConfig
from api.plumbing import read_your_writes
from projections.projector.projector import Projector
from tests.api.conftest import LoggedIn, LogIn, problem_of

EVENT = {"title": "A", "starts_at": "2150-01-01T19:00:00Z", "ends_at": "2150-01-01T22:00:00Z", "total_tickets": 2}
BEYOND = "beyond-the-end"


@pytest.fixture
def config(config: ApiConfig) -> ApiConfig:
    """Only one connection for reading: whoever waits with it in hand blocks everybody."""
    return replace(config, pool_connections=1)


async def create_event(client: httpx2.AsyncClient, account: LoggedIn) -> tuple[str, int]:
    created = await client.post("/events", json=EVENT, headers=account.headers)
    assert created.status_code == 201, created.text
    return created.json()["id"], int(created.headers["tixxety-position"])


async def test_a_write_shows_in_what_its_writer_reads_next(
    client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    ada = await new_account()
    projector = asyncio.create_task(Projector(database_url).run())
    event_id, position = await create_event(client, ada)
    by_anybody = await client.get(f"/events/{event_id}?min_position={position}")
    assert by_anybody.status_code == 200, by_anybody.text
    reserved = await client.post("/reservations", json={"event_id": event_id}, headers=ada.headers)
    read = await client.get(f"/reservations/{reserved.json()['id']}", headers=ada.headers)
    assert read.status_code == 200, read.text
    projector.cancel()
    await asyncio.gather(projector, return_exceptions=True)


async def test_without_a_projector_readers_get_what_there_is(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada = await new_account()
    event_id, _ = await create_event(client, ada)
    assert (await client.get("/events", headers=ada.headers)).json()["items"] == []
    assert (await client.get("/events?min_position=0", headers=ada.headers)).json()["items"] == []
    assert (await client.get("/events")).json()["items"] == []
    problem_of(await client.get(f"/events/{event_id}", headers=ada.headers), 404, "event-not-found")


async def test_a_position_asked_for_and_not_reached_is_projection_behind(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ada = await new_account()
    _, position = await create_event(client, ada)
    answers = await asyncio.gather(
        client.get(f"/events?min_position={position}", headers=ada.headers),
        client.get(f"/events?min_position={position}"),
        client.get(f"/reservations?min_position={position}", headers=ada.headers),
    )
    for answered in answers:
        problem = problem_of(answered, 503, "projection-behind")
        assert (problem["min_position"], problem["position"]) == (position, 0)
        assert answered.headers["retry-after"] == str(problem["retry_after_seconds"])


@pytest.mark.parametrize("path", ["/events", "/events/for-you", "/reservations"])
async def test_a_position_behind_the_end_is_refused_without_waiting(
    client: httpx2.AsyncClient, new_account: LogIn, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    ada = await new_account()
    _, position = await create_event(client, ada)
    monkeypatch.setattr(read_your_writes, "ASKED_PATIENCE_SECONDS", 3600)
    problem = problem_of(await client.get(f"{path}?min_position={position + 1}", headers=ada.headers), 422, BEYOND)
    assert problem["last_position"] == position


async def test_who_waits_holds_no_connection(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada = await new_account()
    _, position = await create_event(client, ada)
    waiting = [
        asyncio.create_task(client.get(f"/reservations?min_position={position}", headers=ada.headers)) for _ in range(5)
    ]
    for _ in range(5):
        assert (await client.get("/auth/me", headers=ada.headers)).status_code == 200
    assert not any(task.done() for task in waiting)
    for answered in await asyncio.gather(*waiting):
        problem_of(answered, 503, "projection-behind")


@pytest.mark.parametrize("position", ["-1", "1.0", "9223372036854775808", "x", ""])
async def test_a_position_is_a_whole_number(client: httpx2.AsyncClient, position: str) -> None:
    problem = problem_of(await client.get(f"/events?min_position={position}"), 422, "invalid-request")
    assert [error["path"] for error in problem["errors"]] == ["min_position"]
