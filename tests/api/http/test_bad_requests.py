"""What no client should send about events and reservations: a problem document each, with the path to what is wrong."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI
from msgspec.structs import replace

from api.events.schemas import HIGHEST_PRICE_MINOR
from tests import box_office
from tests.api.conftest import LogIn, problem_of
from tests.api.programme import TOMORROW, event_body, instant, new_event, ticket_type

SOME_ID = str(UUID(int=7))
HUGE = 10**40
NO_TEXTS: list[Any] = [7, True, None, [], {}, "nul\0", "half \ud800"]
NO_NUMBERS: list[Any] = ["2", 2.0, 1.5, True, [], {}, HUGE, -HUGE, "", "NaN"]
NO_INSTANTS: list[Any] = [
    "2031-05-01T19:30:00",
    "2031-05-01",
    "2031-05-01 19:30:00Z",
    "2031-02-30T19:30:00Z",
    "2031-05-01T24:30:00Z",
    "2031-05-01T19:30:00+25:00",
    "2031-05-01T19:30Z",
    "1999-12-31T23:59:59Z",
    "2200-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "٢٠٣١-05-01T19:30:00Z",
    "tomorrow",
    "",
    1_900_000_000,
    True,
    [],
    {},
]
LATE = instant(TOMORROW + timedelta(days=2))
STALLS = ticket_type("Stalls")

BAD_TICKET_TYPES: dict[str, list[Any]] = {
    "name": ["", 7, None, "a" * 201, "\u200b", "a\x07", "a\u202eb"],
    "capacity": [*NO_NUMBERS, 0, -1, 10_000_001, None],
    "amount_minor": [*NO_NUMBERS, -1, HIGHEST_PRICE_MINOR + 1, None],
    "currency": ["", "eur", "EURO", "EU", "€€€", "EUR\n", 978, None, "ZZZ", "DEM", "XAU", "XTS", "XXX"],
    "colour": ["red"],
}
LOOK_ALIKES = [[ticket_type(name) for name in names] for names in (("VIP", "vip"), ("Caf\u00e9", "Cafe\u0301"))]
NO_TICKET_TYPES: list[Any] = [[], {}, "Stalls", 1, [STALLS] * 2, *LOOK_ALIKES]
UNSEEN = ["\u200b", "a\x07\x1b[31m", "a\u202egpj", "a\u200db", "\u3164"]
BAD_EVENTS: list[tuple[str, dict[str, Any]]] = [
    *[(name, {name: text}) for name in ("title", "street", "city", "state", "country") for text in UNSEEN],
    *[("description", {"description": text}) for text in ("a\x1b[31m", "a\u202egpj")],
    *[("title", {"title": text}) for text in [*NO_TEXTS, "", "  ", "a" * 201]],
    *[("description", {"description": text}) for text in [7, True, [], "nul\0", "a" * 10_001]],
    *[(place, {place: ""}) for place in ("street", "city", "state", "country")],
    *[(place, {place: "a" * 201}) for place in ("street", "city", "state", "country")],
    *[("starts_at", {"starts_at": at}) for at in [*NO_INSTANTS, None]],
    *[("ends_at", {"ends_at": at}) for at in [*NO_INSTANTS, None]],
    *[("sales_open_at", {"sales_open_at": at}) for at in NO_INSTANTS],
    *[("sales_close_at", {"sales_close_at": at}) for at in NO_INSTANTS],
    ("starts_at", {"starts_at": "2020-01-01T00:00:00Z"}),
    ("ends_at", {"ends_at": instant(TOMORROW)}),
    ("ends_at", {"ends_at": instant(TOMORROW - timedelta(seconds=1))}),
    ("sales_close_at", {"sales_close_at": LATE}),
    ("sales_open_at", {"sales_open_at": LATE}),
    ("sales_open_at", {"sales_open_at": instant(TOMORROW), "sales_close_at": instant(TOMORROW)}),
    *[("max_per_buyer", {"max_per_buyer": n}) for n in [*NO_NUMBERS, 0, -1, 10_000_001, None]],
    *[("hold_seconds", {"hold_seconds": n}) for n in [*NO_NUMBERS, 0, -1, 86_401, None]],
    *[("hold_extension_seconds", {"hold_extension_seconds": n}) for n in [*NO_NUMBERS, -1, 86_401, None]],
    *[("total_tickets", {"total_tickets": n}) for n in [*NO_NUMBERS, 0, -1, 10_000_001]],
    ("ticket_types", {"ticket_types": [STALLS], "total_tickets": 2}),
    ("ticket_types", {"ticket_types": None, "total_tickets": None}),
    *[("ticket_types", {"ticket_types": types, "total_tickets": None}) for types in NO_TICKET_TYPES],
    ("ticket_types", {"ticket_types": [ticket_type(f"Row {n}") for n in range(101)], "total_tickets": None}),
    ("ticket_types.0", {"ticket_types": ["Stalls"], "total_tickets": None}),
    *[
        (
            f"ticket_types.1.{field}",
            {"ticket_types": [STALLS, ticket_type("B") | {field: value}], "total_tickets": None},
        )
        for field, values in BAD_TICKET_TYPES.items()
        for value in values
    ],
    ("colour", {"colour": "red"}),
    ("id", {"id": SOME_ID}),
    ("status", {"status": "scheduled"}),
]
BAD_RESERVATIONS: list[tuple[str, dict[str, Any]]] = [
    *[
        ("event_id", {"event_id": value})
        for value in [f"urn:uuid:{SOME_ID}", f"{{{SOME_ID}}}", "", "42", 42, None, True, [], {}, SOME_ID + "0"]
    ],
    *[("quantity", {"quantity": n}) for n in [*NO_NUMBERS, 0, -1, 10_001, None]],
    *[("ticket_type_id", {"ticket_type_id": value}) for value in ["", "42", 42, True, [], {}]],
    ("buyer_id", {"buyer_id": SOME_ID}),
    ("amount_minor", {"amount_minor": 0}),
    ("colour", {"colour": "red"}),
]
BAD_QUERIES: list[tuple[str, dict[str, str]]] = [
    *[
        ("/events", {name: at})
        for name in ("starts_after", "starts_before")
        for at in NO_INSTANTS
        if isinstance(at, str)
    ],
    *[("/events", {name: text}) for name in ("q", "city", "state", "country") for text in ("", "a" * 201, "nul\0")],
    ("/events", {"page": "2"}),
    ("/events/for-you", {"city": "Graz"}),
    ("/reservations", {"status": "due"}),
    ("/reservations", {"status": ""}),
    ("/reservations", {"event_id": "42"}),
    ("/reservations", {"buyer_id": SOME_ID}),
]
NO_OBJECTS = [b"[]", b"null", b'"text"', b"7", b"true", b""]
NO_JSON = [b"{", b"{'a': 1}", b"\xff\xfe", b'{"a": "\xff"}', b"[" * 100_000]


@pytest.fixture
def app(shared_app: FastAPI) -> FastAPI:
    """One for all tests here."""
    return shared_app


@pytest.fixture
async def headers(new_account: LogIn) -> dict[str, str]:
    return (await new_account()).headers


async def send(client: httpx2.AsyncClient, path: str, headers: dict[str, str], body: Any) -> httpx2.Response:
    """POST with all but ASCII escaped: so written, JSON can hold half a surrogate pair."""
    sent = headers | {"Content-Type": "application/json"}
    return await client.post(path, content=json.dumps(body), headers=sent)


def paths(response: httpx2.Response) -> list[str]:
    return [error["path"] for error in problem_of(response, 422, "invalid-request")["errors"]]


async def test_an_event_is_refused_for_each_thing_that_is_wrong(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    for path, changes in BAD_EVENTS:
        body = {"title": "Concert", **event_body(), **changes}
        assert path in paths(await send(client, "/events", headers, body)), changes
    for path in ("title", "starts_at", "ends_at", "total_tickets"):
        found = paths(await client.post("/events", json=event_body(**{path: None}), headers=headers))
        assert found == [path.replace("total_tickets", "ticket_types")]
    assert (await client.get("/events")).json()["items"] == []


async def test_a_reservation_is_refused_for_each_thing_that_is_wrong(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    for path, changes in BAD_RESERVATIONS:
        body = {"event_id": SOME_ID, **changes}
        assert path in paths(await send(client, "/reservations", headers, body)), changes
    assert paths(await client.post("/reservations", json={}, headers=headers)) == ["event_id"]


async def test_a_payment_takes_a_reference_and_cancelling_nothing(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    path = f"/reservations/{uuid4()}/pay"
    for reference in ["", " ", 7, True, [], {}, "a" * 201, "nul\0"]:
        response = await send(client, path, headers, {"payment_reference": reference})
        assert paths(response) == ["payment_reference"]
    assert paths(await client.post(path, json={"amount_minor": 1}, headers=headers)) == ["amount_minor"]
    for path in (f"/reservations/{uuid4()}/cancel", f"/events/{uuid4()}/cancel"):
        assert paths(await client.post(path, json={"reason": "rain"}, headers=headers)) == ["reason"]


async def test_a_body_that_may_be_left_out_is_no_null(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    sent = headers | {"Content-Type": "application/json"}
    reservation, event = f"/reservations/{uuid4()}", f"/events/{uuid4()}"
    for path in (f"{reservation}/pay", f"{reservation}/cancel", f"{event}/cancel"):
        assert paths(await client.post(path, content=b"null", headers=sent)) == ["body"]
        assert (await client.post(path, content=b"", headers=sent)).status_code == 404


async def test_a_body_is_one_json_object(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    sent = headers | {"Content-Type": "application/json"}
    for verb, path in (("POST", "/events"), ("POST", "/reservations"), ("PATCH", f"/events/{SOME_ID}")):
        for content in NO_OBJECTS:
            assert paths(await client.request(verb, path, content=content, headers=sent)) == ["body"], content
        for content in NO_JSON:
            problem_of(await client.request(verb, path, content=content, headers=sent), 400, "malformed-json")
        form = await client.request(verb, path, data={"title": "Concert"}, headers=headers)
        problem_of(form, 415, "unsupported-media-type")


async def test_a_query_is_refused_for_what_is_wrong_in_it(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    for path, query in BAD_QUERIES:
        assert paths(await client.get(path, params=query, headers=headers)) == list(query), query


async def test_strange_bytes_in_a_query_find_nothing_and_break_nothing(client: httpx2.AsyncClient) -> None:
    for query in ("q=%ff", "q=%ED%A0%80", "q=%25%5C_", "city=%27--"):
        response = await client.get(f"/events?{query}")
        assert (response.status_code, response.json()["items"]) == (200, []), query


async def test_a_path_with_no_id_in_it_leads_nowhere(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    for no_id in ("42", "%00", "%ff", "..%2f", SOME_ID + "0", "a" * 5_000, f"urn:uuid:{SOME_ID}", f"%7B{SOME_ID}%7D"):
        problem_of(await client.get(f"/reservations/{no_id}", headers=headers), 404, "not-found")
        for path in (f"/events/{no_id}/cancel", f"/reservations/{no_id}/pay", f"/reservations/{no_id}/cancel"):
            problem_of(await client.post(path, headers=headers), 404, "not-found")


async def test_a_method_that_is_not_there_is_refused(client: httpx2.AsyncClient) -> None:
    for verb, path in (("DELETE", "/events"), ("PUT", f"/events/{SOME_ID}"), ("GET", "/events/x/cancel")):
        problem_of(await client.request(verb, path), 405, "method-not-allowed")


async def test_the_largest_values_are_taken_as_they_are(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    account = await new_account()
    types = [ticket_type(f"{n:03}" + "n" * 197, 10_000_000, HIGHEST_PRICE_MINOR) for n in range(100)]
    largest = {
        "title": "𝄞" * 200,
        "description": "d" * 10_000,
        "city": "c" * 200,
        "starts_at": "2199-12-31T23:59:58.999999Z",
        "ends_at": "2199-12-31T23:59:59Z",
        "max_per_buyer": 10_000_000,
        "hold_seconds": 86_400,
        "hold_extension_seconds": 86_400,
    }
    event = await new_event(client, account, ticket_types=types, **largest)
    assert {name: event[name] for name in largest} == largest
    body = {"event_id": event["id"], "quantity": 10_000, "ticket_type_id": event["ticket_types"][99]["id"]}
    response = await client.post("/reservations", json=body, headers=account.headers)
    assert (response.status_code, response.json()["amount_minor"]) == (201, 10_000 * HIGHEST_PRICE_MINOR)
    assert 0 < 2**53 - 1 - response.json()["amount_minor"] < 10_000, "every JSON reader keeps it exact"


async def test_a_price_from_before_there_was_this_bound_is_answered_as_it_is(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    account = await new_account()
    create = box_office.create(UUID(account.id), capacity=10_000, max_per_buyer=10_000)
    old = replace(create, ticket_types=(replace(create.ticket_types[0], amount_minor=10**12, currency="DEM"),))
    await app.state.services.commands.submit(old)
    response = await client.post(
        "/reservations", json={"event_id": str(old.event_id), "quantity": 9_999}, headers=account.headers
    )
    answer = response.json()
    assert (response.status_code, answer["amount_minor"], answer["currency"]) == (201, 9_999 * 10**12, "DEM")


async def test_a_path_of_its_own_is_no_id_for_other_methods(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    for method in ("PATCH", "POST", "DELETE"):
        for query in ("", "?limit=50"):
            answered = await client.request(method, f"/events/for-you{query}", json={}, headers=headers)
            problem_of(answered, 405, "method-not-allowed")
            assert answered.headers["allow"] == "GET, HEAD"
    answered = await client.delete(f"/events/{SOME_ID}", headers=headers)
    assert answered.headers["allow"] == "GET, HEAD, PATCH"
