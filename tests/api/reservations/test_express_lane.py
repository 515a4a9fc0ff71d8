"""The express lane: plain requests to reserve never reach the framework, all others do, and both are answered alike."""

import gc
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from api.express_lane import ExpressLane
from domain.errors import Refusal
from tests.api.conftest import AtOnce, LoggedIn, LogIn, problem_of
from tests.api.programme import UNKNOWN_ID, crowd, new_event, ticket_type

PLAIN = {"Content-Type": "application/json"}
# The same body, declared so that it takes the usual way.
ROUNDABOUT = {"Content-Type": "application/json; charset=utf-8"}
PASSING = {"id", "placed_at", "hold_expires_at", "request_id"}


@pytest.fixture
async def lane_alone(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """The lane before an application without any route: what the lane does not take is not found."""
    bare = FastAPI()
    bare.state.services = app.state.services
    transport = httpx2.ASGITransport(AtOnce(ExpressLane(bare)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://lane") as client:
        yield client


def wish(event: dict[str, Any], **more: Any) -> bytes:
    """A body that asks for a ticket of the event."""
    return json.dumps({"event_id": event["id"], **more}).encode()


async def test_the_lane_takes_plain_requests_with_or_without_a_key(
    client: httpx2.AsyncClient, lane_alone: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer, max_per_buyer=2)
    for more in ({}, {"Idempotency-Key": "again"}):
        answer = await lane_alone.post("/reservations", content=wish(event), headers=buyer.headers | PLAIN | more)
        assert answer.status_code == 201, answer.text
    assert answer.headers["x-request-id"]
    again = await lane_alone.post("/reservations", content=wish(event), headers=buyer.headers | PLAIN | more)
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (201, answer.content, "true")
    refused = await lane_alone.post("/reservations", content=wish(event), headers=buyer.headers | PLAIN)
    problem_of(refused, 409, "limit-per-buyer")


async def in_chunks(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    "unusual",
    [
        {"method": "PUT"},
        {"url": "/reservations?limit=1"},
        {"url": "/reservations/"},
        {"headers": {"Content-Type": "application/json"}},
        {"headers": ROUNDABOUT},
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"Content-Encoding": "gzip"}},
        {"headers": {"Authorization": "bearer lower-case"}},
        {"headers": {"Authorization": "Basic b2xnYTpzZWNyZXQ="}},
        {"headers": {"Idempotency-Key": "with space"}},
        {"headers": {"Idempotency-Key": ""}},
        {"headers": {"Idempotency-Key": "k" * 256}},
        {"more_headers": [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]},
        {"more_headers": [("Content-Type", "application/json")]},
        {"content": b""},
        {"content": b"[]"},
        {"content": b"{"},
        {"content": b'{"event_id": "019a0000-0000-7000-8000-000000000001", "quantity": 5, "quantity": 1}'},
        {"content": b'{"event_id": 7, "event_id": "019a0000-0000-7000-8000-000000000001"}'},
        {"content": b'{"event_id": "019a0000-0000-7000-8000-000000000001", "quantity": 0}'},
        {"content": b'{"event_id": "019a0000-0000-7000-8000-000000000001", "more": 1}'},
        {"chunks": [b'{"event_id": ', b'"019a0000-0000-7000-8000-000000000001"}']},
    ],
    ids=str,
)
async def test_the_lane_lets_go_on_what_is_unusual(
    lane_alone: httpx2.AsyncClient, new_account: LogIn, unusual: dict[str, Any]
) -> None:
    buyer = await new_account()
    headers = httpx2.Headers((buyer.headers | PLAIN) | unusual.get("headers", {}))
    if unusual.get("headers") == {"Content-Type": "application/json"}:
        del headers["Authorization"]
    sent = list(headers.multi_items()) + unusual.get("more_headers", [])
    body: Any = unusual.get("content", b'{"event_id": "019a0000-0000-7000-8000-000000000001"}')
    if "chunks" in unusual:
        body = in_chunks(unusual["chunks"])
    answer = await lane_alone.request(
        unusual.get("method", "POST"), unusual.get("url", "/reservations"), content=body, headers=sent
    )
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def bodies(event: dict[str, Any]) -> list[bytes]:
    """Well-formed and not, from every corner that two readers of JSON could see differently."""
    own = f'"event_id": "{event["id"]}"'
    texts = [
        f"{{{own}}}",
        f' {{ {own.replace(":", " : ")} , "quantity" : 2 }} ',
        f'{{{own}, "quantity": 1, "quantity": 2}}',
        f'{{{own}, "ticket_type_id": "{event["ticket_types"][0]["id"]}"}}',
        f'{{{own}, "ticket_type_id": null}}',
        f'{{{own}, "ticket_type_id": "{UNKNOWN_ID}"}}',
        f'{{{own}, "ticket_type_id": ""}}',
        f'{{"event_id": "{event["id"].upper()}"}}',
        f'{{"event_id": "{event["id"].replace("-", "")}"}}',
        f'{{"event_id": "urn:uuid:{event["id"]}"}}',
        f'{{"event_id": " {event["id"]}"}}',
        f'{{"event_id": "{UNKNOWN_ID}"}}',
        '{"event_id": 7}',
        "{}",
        "null",
        "",
        f"{{{own}}} x",
        f"{{{own},}}",
        f'{{{own}, "event_id": "{UNKNOWN_ID}"}}',
        f'{{"event_id": "a:b", {own}}}',
        f'{{{own}, "quantity": 1, "quantit\\u0079": 1}}',
        f'{{"event\\u005fid": "{event["id"]}", "quantity": 1}}',
        f'{{{own}, "\\ud800": 1}}',
        f'{{{own}, "x": "\\u0000"}}',
        "\ufeff{" + own + "}",
        "{" * 500 + "}" * 500,
    ]
    quantities = "1.0", "2e0", '"2"', "true", "null", "-1", "10000", "10001", "1" + "0" * 400, "NaN", "-Infinity", "[1]"
    texts += [f'{{{own}, "quantity": {quantity}}}' for quantity in quantities]
    return [text.encode() for text in texts] + [texts[0].encode("utf-16"), b'{"event_id": "\xff"}']


def alike(answer: httpx2.Response) -> tuple[int, dict[str, Any], set[str], str]:
    """What two answers to one wish share: all but the ids and instants that were made for them."""
    told = {name: value for name, value in answer.json().items() if name not in PASSING}
    return answer.status_code, told, set(answer.headers), answer.headers["content-type"]


async def test_whatever_the_body_both_ways_answer_alike(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    organiser = await new_account()
    stalls, circle = ticket_type("Stalls", 10_000, 2500), ticket_type("Circle", 10)
    for ticket_types in ([stalls], [stalls, circle]):
        event = await new_event(client, organiser, ticket_types=ticket_types, max_per_buyer=10_000)
        asked = bodies(event)
        pairs = iter(await crowd(app, 2 * len(asked)))
        for body, one, other in zip(asked, pairs, pairs, strict=True):
            express = await client.post("/reservations", content=body, headers=one.headers | PLAIN)
            usual = await client.post("/reservations", content=body, headers=other.headers | ROUNDABOUT)
            assert alike(express) == alike(usual), body


@pytest.mark.parametrize(
    "written", ["Bearer  {}", "Bearer {} ", "Bearer \t{}", "Bearer \xa0{}", "bearer {}", "Bearer{}"]
)
async def test_however_the_token_is_written_both_ways_answer_alike(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn, written: str
) -> None:
    event = await new_event(client, await new_account())
    one, other = await crowd(app, 2)
    answers = [
        await client.post(
            "/reservations",
            content=wish(event),
            headers=[(b"authorization", written.format(buyer.token).encode("latin-1")), *kind],
        )
        for buyer, kind in ((one, httpx2.Headers(PLAIN).raw), (other, httpx2.Headers(ROUNDABOUT).raw))
    ]
    assert alike(answers[0]) == alike(answers[1])


async def test_a_token_that_is_not_ours_is_refused_on_the_lane_too(
    lane_alone: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    for token in ("nonsense", buyer.token[:-2] + ("AA" if buyer.token[-2:] != "AA" else "BB"), "\xe4" * 20):
        headers = {b"Authorization": f"Bearer {token}".encode("latin-1"), b"Content-Type": b"application/json"}
        body = json.dumps({"event_id": str(uuid4())}).encode()
        answer = await lane_alone.post("/reservations", content=body, headers=headers)
        problem_of(answer, 401, "not-authenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_bug_on_the_lane_is_an_internal_error_with_its_request_id(
    app: FastAPI, lane_alone: httpx2.AsyncClient, new_account: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer: LoggedIn = await new_account()

    async def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app.state.services.commands, "submit", broken)
    body = json.dumps({"event_id": str(uuid4())}).encode()
    problem_of(
        await lane_alone.post("/reservations", content=body, headers=buyer.headers | PLAIN), 500, "internal-error"
    )


async def test_a_refusal_leaves_nothing_to_the_garbage_collector(
    client: httpx2.AsyncClient, lane_alone: httpx2.AsyncClient, new_account: LogIn
) -> None:
    """Thousands are refused in a rush, and what only the collector can free adds up until it stops everybody."""
    organiser, buyer = await new_account(), await new_account()
    event = await new_event(client, organiser, total_tickets=1)
    headers = buyer.headers | PLAIN
    assert (await lane_alone.post("/reservations", content=wish(event), headers=organiser.headers | PLAIN)).is_success
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            problem_of(await lane_alone.post("/reservations", content=wish(event), headers=headers), 409, "sold-out")
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert [one for one in gc.garbage if isinstance(one, Refusal)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
