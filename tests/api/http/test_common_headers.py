"""What all answers have: nothing private is stored on the way, other origins are let in by name, prefixes are kept."""

import json
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import Message

from api.app import ApiConfig, create_app
from api.express_lane import EXPRESS_LANE, ExpressLane
from api.http.cross_origin import for_origins
from tests.api.conftest import JWT_SECRET, AtOnce, LogIn, problem_of
from tests.api.programme import UNKNOWN_ID, new_event

SHOP = "https://shop.example"
PLAIN = {"Content-Type": "application/json"}
PRIVATE = ("/auth/me", "/reservations", f"/reservations/{UNKNOWN_ID}", "/audit/seals", "/events", "/events/for-you")


async def test_answers_to_a_token_and_to_writes_are_stored_nowhere(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer)
    for path in (*PRIVATE, f"/events/{event['id']}"):
        assert (await client.get(path, headers=buyer.headers)).headers["cache-control"] == "no-store", path
    body = json.dumps({"event_id": event["id"]}).encode()
    for kind in (PLAIN, {"Content-Type": "application/json; charset=utf-8"}):
        answered = await client.post("/reservations", content=body, headers=buyer.headers | kind)
        assert answered.headers["cache-control"] == "no-store"
    registered = await client.post("/auth/register", json={})
    assert registered.headers["cache-control"] == "no-store"


async def test_what_anybody_may_read_may_be_stored(client: httpx2.AsyncClient) -> None:
    for path in ("/problems", "/openapi.json", "/docs"):
        assert "cache-control" not in (await client.get(path)).headers, path


async def test_what_changes_may_be_stored_for_a_second_and_not_for_who_has_a_token(client: httpx2.AsyncClient) -> None:
    catalogue = (await client.get("/events")).headers
    assert (catalogue["cache-control"], catalogue["vary"]) == ("public, max-age=1", "authorization")


async def test_what_depends_on_accept_says_so(client: httpx2.AsyncClient) -> None:
    for path in ("/problems", "/problems/sold-out"):
        for accept in ("text/html", "application/json"):
            assert (await client.get(path, headers={"Accept": accept})).headers["vary"] == "Accept"


@pytest.fixture
def shop(app: FastAPI) -> httpx2.AsyncClient:
    """A client of the API that lets one origin in."""
    transport = httpx2.ASGITransport(AtOnce(for_origins(ExpressLane(app), [SHOP])))
    return httpx2.AsyncClient(transport=transport, base_url="http://box-office", headers={"Origin": SHOP})


def test_without_origins_there_is_no_layer_for_them(app: FastAPI) -> None:
    assert for_origins(app, []) is app


async def test_a_preflight_is_answered_for_the_origins_that_are_named(shop: httpx2.AsyncClient) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    answered = await shop.options("/reservations", headers=asked)
    assert (answered.status_code, answered.headers["access-control-allow-origin"]) == (200, SHOP)
    assert "access-control-allow-credentials" not in answered.headers
    other = await shop.options("/reservations", headers=asked | {"Origin": "https://elsewhere.example"})
    assert (other.status_code, "access-control-allow-origin" in other.headers) == (400, False)


async def test_a_page_of_the_origin_reads_answers_and_problems_with_our_headers(
    shop: httpx2.AsyncClient, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer, max_per_buyer=1)
    body = json.dumps({"event_id": event["id"]}).encode()
    for expected in (201, 409):
        answered = await shop.post("/reservations", content=body, headers=buyer.headers | PLAIN)
        assert answered.status_code == expected
        assert answered.headers["access-control-allow-origin"] == SHOP
        assert {
            "Tixxety-Position", "Idempotent-Replayed", "Location", "Retry-After", "X-Request-Id", "ETag"
        } <= set(answered.headers["access-control-expose-headers"].split(", "))  # fmt: skip
    assert (await shop.get("/events")).headers["vary"] == "authorization, Origin"
    assert (await shop.get("/events", headers={"Origin": ""})).headers["vary"] == "authorization, Origin"
    answered = await shop.get("/events", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answered.headers


async def test_a_server_finds_the_lane_also_where_pages_of_other_origins_are_let_in(config: ApiConfig) -> None:
    lane, said = ExpressLane(create_app(config)), list[Message]()
    state: dict[str, Any] = {}
    heard: list[Message] = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]

    async def receive() -> Message:
        return heard.pop()

    async def send(message: Message) -> None:
        said.append(message)

    await for_origins(lane, [SHOP])({"type": "lifespan", "state": state}, receive, send)
    assert [message["type"] for message in said] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert state[EXPRESS_LANE] is lane


@pytest.fixture
def config(database_url: str) -> ApiConfig:
    """An API below a prefix; without one in the scope it makes no difference but to what it makes itself."""
    return ApiConfig(box_office=database_url, jwt_secret=JWT_SECRET, rate_limits=False, root_path="/tickets")


@pytest.fixture
def below(app: FastAPI) -> httpx2.AsyncClient:
    """Speaks as through a proxy that has taken a prefix off, and a server that has put it back."""
    transport = httpx2.ASGITransport(AtOnce(ExpressLane(app)), root_path="/tickets")
    return httpx2.AsyncClient(transport=transport, base_url="http://box-office/tickets")


@pytest.mark.parametrize("kind", [PLAIN, {"Content-Type": "application/json; charset=utf-8"}], ids=["lane", "route"])
async def test_a_prefix_is_kept_in_whatever_is_an_address(
    below: httpx2.AsyncClient, client: httpx2.AsyncClient, new_account: LogIn, kind: dict[str, str]
) -> None:
    buyer = await new_account()
    event: dict[str, Any] = await new_event(client, buyer, max_per_buyer=1)
    body = json.dumps({"event_id": event["id"]}).encode()
    made = await below.post("/reservations", content=body, headers=buyer.headers | kind)
    assert made.headers["location"].startswith(f"/tickets/reservations/{made.json()['id']}?")
    refused = await below.post("/reservations", content=body, headers=buyer.headers | kind)
    assert refused.json()["type"] == "/tickets/problems/limit-per-buyer"
    described = await below.get("/problems/limit-per-buyer")
    assert described.json()["type"] == described.json()["example"]["type"] == "/tickets/problems/limit-per-buyer"
    assert 'href="/tickets/problems"' in (await below.get("/problems/sold-out", headers={"Accept": "text/html"})).text
    document = (await below.get("/openapi.json")).json()
    assert document["servers"] == [{"url": "/tickets"}]
    assert document["components"]["securitySchemes"]["login"]["flows"]["password"]["tokenUrl"] == "/tickets/auth/login"
    assert (
        document["components"]["schemas"]["SoldOutProblem"]["properties"]["type"]["const"]
        == "/tickets/problems/sold-out"
    )
    problem_of(await client.get("/nothing"), 404, "not-found")


async def test_rates_are_limited_below_a_prefix_too(app: FastAPI, below: httpx2.AsyncClient) -> None:
    app.state.services.rate_limits.__init__(on=True)
    answers = [await below.get("/auth/me") for _ in range(301)]
    assert (answers[0].status_code, answers[-1].status_code) == (401, 429)
