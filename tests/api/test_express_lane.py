"""The express lane: usual requests to its routes never reach the framework, all others do, both are answered alike."""

import gc
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest
from fastapi import FastAPI

from api.express_lane import ROUTES, ExpressLane
from api.plumbing import read_your_writes
from domain.errors import Refusal
from tests.api.conftest import AtOnce, LoggedIn, LogIn, problem_of
from tests.api.programme import UNKNOWN_ID, crowd, folding, new_event, reserved, ticket_type

PLAIN = {"Content-Type": "application/json"}
# The same body, declared so that it takes the usual way.
ROUNDABOUT = {"Content-Type": "application/json; charset=utf-8"}
PASSING = {"id", "placed_at", "hold_expires_at", "request_id"}


@pytest.fixture
def app(shared_app: FastAPI) -> FastAPI:
    """One for all tests here."""
    return shared_app


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


def once_more(**more: str) -> dict[str, str]:
    return {"Authorization": "Bearer {token}"} | more


JSON = "application/json"
# Every usual and odd way to ask, for each route: path, headers, body.
ODD_QUERIES = ("", "?", "?limit=2", "?limit=0", "?colour=red", "?min_position=0", "?min_position=99999999")
ODD_PATHS = ("", "/", "//", "%20", ";x", "/pay", "/cancel", "/nothing")
ODD_HEADERS: list[dict[str, str]] = [
    {},
    once_more(),
    once_more(**{"If-None-Match": '"nothing"'}),
    once_more(**{"If-None-Match": "*"}),
    {"If-None-Match": "*"},
    {"If-None-Match": 'W/"x", *, "\xe4"'},
    {"Authorization": "Bearer nonsense"},
    {"Authorization": "bearer {token}"},
    {"Authorization": "Basic {token}"},
    {"Authorization": ""},
    once_more(Accept="text/html"),
    once_more(**{"Content-Length": "0"}),
    once_more(**{"Content-Encoding": "gzip"}),
    once_more(**{"Content-Type": "text/plain"}),
    once_more(Origin="https://shop.example"),
]
ODD_IDS = ("{id}", "{ID}", UNKNOWN_ID, "{bare}", "urn:uuid:{id}", "0", "for-you", "{id} ", "\u0661")
ODD_PAYMENTS: list[tuple[str | None, bytes]] = [
    (None, b""),
    (JSON, b""),
    ("text/plain", b""),
    (JSON, b"{}"),
    (JSON, b"null"),
    (JSON, b"[]"),
    (JSON, b"{"),
    (None, b"{}"),
    ("text/plain", b"{}"),
    (JSON + "; charset=utf-8", b"{}"),
    (JSON, b'{"payment_reference": null}'),
    (JSON, b'{"payment_reference": "a"}'),
    (JSON, b'{"payment_reference": "a:b"}'),
    (JSON, b'{"payment_reference": "b", "payment_reference": "a"}'),
    (JSON, b'{"payment\\u005freference": "a"}'),
    (JSON, b'{"payment_reference": " a "}'),
    (JSON, b'{"payment_reference": "\\u0000"}'),
    (JSON, b'{"payment_reference": "\\ud800"}'),
    (JSON, b'{"payment_reference": 7}'),
    (JSON, b'{"payment_reference": ""}'),
    (JSON, b'{"more": 1}'),
    (JSON, b'{"payment_reference": "\xff"}'),
]


@pytest.fixture
async def framework(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """The application without the lane."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(AtOnce(app)), base_url="http://box-office") as client:
        yield client


def told(answer: httpx2.Response) -> tuple[int, dict[str, str], bytes]:
    """All that an answer says but its own id."""
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    own_id = answer.headers["x-request-id"].encode()
    body = answer.content.replace(own_id, b"its own id")
    if headers.get("content-type") == "application/problem+json":
        # Seconds to wait, or what has been waited for, pass.
        return answer.status_code, {"content-type": headers["content-type"]}, body
    return answer.status_code, headers, body


@pytest.mark.parametrize("route", [path for method, path in ROUTES if method == "GET"])
async def test_however_one_reads_both_ways_answer_alike(
    client: httpx2.AsyncClient,
    framework: httpx2.AsyncClient,
    app: FastAPI,
    new_account: LogIn,
    route: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(read_your_writes, "ASKED_PATIENCE_SECONDS", 0)
    buyer, stranger = await new_account(), await new_account()
    async with folding(app.state.services.config.box_office):
        event = await new_event(client, buyer, ticket_types=[ticket_type("A"), ticket_type("B", 3)], max_per_buyer=5)
        reservation = await reserved(client, buyer, event, ticket_type_id=event["ticket_types"][1]["id"])
        await reserved(client, buyer, event, ticket_type_id=event["ticket_types"][0]["id"], quantity=2)
        its_id = (event if "events" in route else reservation)["id"]
        path = route.replace("{id}", its_id)
        # Until it is there whoever asks.
        await client.get(path, headers=buyer.headers)
        etag = (await client.get(path, headers=buyer.headers)).headers.get("etag", "")
        paths = [path + odd for odd in (*ODD_PATHS, *ODD_QUERIES)]
        if "{id}" in route:
            ids = [odd.format(id=its_id, ID=its_id.upper(), bare=its_id.replace("-", "")) for odd in ODD_IDS]
            paths += [route.replace("{id}", one) for one in ids]
        asked = [(path, headers) for path in paths for headers in (once_more(), {})]
        asked += [(path, headers) for headers in (*ODD_HEADERS, once_more(**{"If-None-Match": etag}))]
        for path, headers in asked:
            for account in (buyer, stranger):
                sent = [(name, value.format(token=account.token).encode("latin-1")) for name, value in headers.items()]
                for method in ("GET", "HEAD"):
                    answers = [await each.request(method, path, headers=sent) for each in (client, framework, client)]
                    assert told(answers[0]) == told(answers[1]) == told(answers[2]), (method, path, headers)


@pytest.mark.parametrize("verb", ["pay", "cancel"])
async def test_however_one_pays_or_cancels_both_ways_answer_alike(
    app: FastAPI, client: httpx2.AsyncClient, framework: httpx2.AsyncClient, new_account: LogIn, verb: str
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, total_tickets=10_000)
    keys = [{}, {"Idempotency-Key": "again"}, {"Idempotency-Key": "with space"}]
    asked = [(content_type, body, key) for content_type, body in ODD_PAYMENTS for key in keys]
    buyers = await crowd(app, len(asked))
    for (content_type, body, key), buyer in zip(asked, buyers, strict=True):
        headers = buyer.headers | key | ({"Content-Type": content_type} if content_type else {})
        answers = []
        for each in (client, framework):
            reservation = await reserved(client, buyer, event)
            for account in (buyer, organiser):
                path = f"/reservations/{reservation['id']}/{verb}"
                answer = await each.post(path, content=body, headers=headers | account.headers)
                moving = {reservation["id"], answer.headers["x-request-id"]}
                told = {
                    name: str(value)
                    for name, value in answer.json().items()
                    if str(value) not in moving and not name.endswith("_at")
                }
                answers.append((answer.status_code, told, set(answer.headers)))
            # So that each way begins with a reservation of its own.
            await client.post(f"/reservations/{reservation['id']}/cancel", headers=buyer.headers)
        assert answers[:2] == answers[2:], (content_type, body, key)


async def test_every_route_of_the_lane_is_taken(
    client: httpx2.AsyncClient, lane_alone: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    buyer = await new_account()
    async with folding(app.state.services.config.box_office):
        event = await new_event(client, buyer, max_per_buyer=2)
        reservation = await reserved(client, buyer, event)
        await client.get("/reservations", headers=buyer.headers)
        for method, route in ROUTES:
            path = route.replace("{id}", (event if "events" in route else reservation)["id"])
            body = {"content": wish(event)} if route == "/reservations" and method == "POST" else {}
            headers = buyer.headers | (PLAIN if body else {})
            answer = await lane_alone.request(method, path, headers=headers, **body)  # type: ignore[arg-type]
            assert answer.is_success, (method, path, answer.text)


async def test_a_read_that_fails_on_the_lane_is_the_problem_that_it_is_elsewhere(
    app: FastAPI, client: httpx2.AsyncClient, framework: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()

    async def broken(*_: object) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.state.services.reads, "ask", broken)
        for each in (client, framework):
            for path in ("/events", f"/events/{UNKNOWN_ID}", "/reservations", f"/reservations/{UNKNOWN_ID}"):
                away = problem_of(await each.get(path, headers=buyer.headers), 503, "database-away")
                assert away["retry_after_seconds"] == 1


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
