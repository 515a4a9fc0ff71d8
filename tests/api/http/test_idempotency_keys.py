"""One key, one effect: replays word for word, however many come at once, and no key that serves two requests."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI

from api.events.schemas import NewEvent
from api.http.idempotency_keys import id_to_create, idempotency_of
from api.reservations.schemas import Payment
from domain.commands import Actor
from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import (
    UNKNOWN_ID,
    cancel,
    count_recorded,
    crowd,
    event_body,
    folding,
    new_event,
    reserve,
    reserved,
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


async def post(
    client: httpx2.AsyncClient, account: LoggedIn, path: str, key: str, body: dict[str, Any] | None = None
) -> httpx2.Response:
    return await client.post(path, json=body, headers=account.headers | {"Idempotency-Key": key})


def told(response: httpx2.Response) -> tuple[int, bytes, str | None, str | None]:
    """All that a replay repeats."""
    headers = response.headers
    return response.status_code, response.content, headers.get("location"), headers.get("tixxety-position")


async def test_20_identical_requests_at_once_make_one_reservation_and_20_identical_answers(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer, total_tickets=50)
    answers = await asyncio.gather(*[reserve(client, buyer, event, key="order-1") for _ in range(20)])
    assert {answer.status_code for answer in answers} == {201}
    assert len({told(answer) for answer in answers}) == 1
    assert sorted(answer.headers.get("idempotent-replayed", "first") for answer in answers) == ["first"] + ["true"] * 19
    assert await count_recorded(app, "TicketsHeld") == await count_recorded(app, "ReservationPlaced") == 1


async def test_20_identical_requests_at_once_make_one_event(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser, body = await new_account(), event_body(ticket_types=[ticket_type("Stalls"), ticket_type("Gallery")])
    before = await count_recorded(app, "EventCreated")
    answers = await asyncio.gather(*[post(client, organiser, "/events", "one", body) for _ in range(20)])
    assert {answer.status_code for answer in answers} == {201}
    assert len({told(answer) for answer in answers}) == 1
    assert await count_recorded(app, "EventCreated") == before + 1
    assert (await client.get(answers[0].headers["location"])).json() == answers[0].json()


async def test_a_replay_is_the_first_answer_whatever_has_happened_since(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    body = event_body(ticket_types=[ticket_type("Stalls", 1)])
    created = await post(client, buyer, "/events", "create", body)
    event = created.json()
    first = await reserve(client, buyer, event, key="reserve")
    path = f"/reservations/{first.json()['id']}"
    paid = await post(client, buyer, f"{path}/pay", "pay", {"payment_reference": "invoice 7"})
    cancelled = await post(client, buyer, f"{path}/cancel", "cancel")
    await client.patch(f"/events/{event['id']}", json={"title": "Renamed"}, headers=buyer.headers)
    called_off = await post(client, buyer, f"/events/{event['id']}/cancel", "call-off")
    for before, again in (
        (created, await post(client, buyer, "/events", "create", body)),
        (first, await reserve(client, buyer, event, key="reserve")),
        (paid, await post(client, buyer, f"{path}/pay", "pay", {"payment_reference": "invoice 7"})),
        (cancelled, await post(client, buyer, f"{path}/cancel", "cancel")),
        (called_off, await post(client, buyer, f"/events/{event['id']}/cancel", "call-off")),
    ):
        assert told(again) == told(before)
        assert (before.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert [r.json()["status"] for r in (first, paid, cancelled, called_off)] == [
        "reserved",
        "paid",
        "cancelled",
        "cancelled",
    ]


async def test_calling_an_event_off_again_tells_the_counts_of_the_first_time(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    reservation = await reserved(client, organiser, event)
    first = await post(client, organiser, f"/events/{event['id']}/cancel", "call-off")
    assert first.json()["ticket_types"][0]["reserved"] == 1
    assert (await cancel(client, organiser, "reservations", reservation)).status_code == 200
    assert told(await post(client, organiser, f"/events/{event['id']}/cancel", "call-off")) == told(first)


async def test_a_key_comes_before_every_rule(app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada, bert = await new_account(), await new_account()
    event = await new_event(client, ada, total_tickets=1, hold_seconds=1)
    first = await reserve(client, ada, event, key="mine")
    await until(app, first.json()["hold_expires_at"])
    await reserved(client, bert, event)
    problem_of(await reserve(client, ada, event), 409, "sold-out")
    await cancel(client, ada, "events", event)
    assert told(await reserve(client, ada, event, key="mine")) == told(first)


async def test_a_key_with_another_body_is_refused(app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer, total_tickets=9, max_per_buyer=9)
    other = await new_event(client, buyer)
    before = await count_recorded(app, "TicketsHeld")
    await reserve(client, buyer, event, key="mine")
    for response in (
        await reserve(client, buyer, event, key="mine", quantity=2),
        await reserve(client, buyer, event, key="mine", ticket_type_id=event["ticket_types"][0]["id"]),
        await reserve(client, buyer, other, key="mine"),
        await reserve(client, buyer, {"id": UNKNOWN_ID}, key="mine"),
    ):
        problem_of(response, 422, "idempotency-key-reused")
    assert await count_recorded(app, "TicketsHeld") == before + 1


async def test_a_body_is_the_same_however_it_is_written(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    body = event_body(title="Concert", starts_at="2031-05-01T19:30:00Z", ends_at="2031-05-01T22:30:00Z")
    first = await post(client, buyer, "/events", "create", body)
    written_otherwise = {
        "max_per_buyer": 1,
        "description": None,
        "ends_at": "2031-05-02T00:30:00.000+02:00",
        "total_tickets": body["total_tickets"],
        "starts_at": "2031-05-01t21:30:00+02:00",
        "title": " Concert ",
    }
    assert told(await post(client, buyer, "/events", "create", written_otherwise)) == told(first)
    reservation = await reserve(client, buyer, first.json(), key="reserve")
    explicit = await reserve(client, buyer, first.json(), key="reserve", quantity=1, ticket_type_id=None)
    assert told(explicit) == told(reservation)


async def test_one_key_for_two_events_at_once_makes_one_reservation(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    events = [await new_event(client, organiser, total_tickets=50) for _ in range(2)]
    before = [await count_recorded(app, kind) for kind in ("TicketsHeld", "ReservationPlaced")]
    for count, buyer in enumerate(await crowd(app, 10), start=1):
        answers = await asyncio.gather(*[reserve(client, buyer, event, key="mine") for event in events * 3])
        granted = {told(answer) for answer in answers if answer.status_code == 201}
        refused = [problem_of(answer, 422, "idempotency-key-reused") for answer in answers if answer.status_code != 201]
        assert (len(granted), len(refused)) == (1, 3)
        recorded = [await count_recorded(app, kind) for kind in ("TicketsHeld", "ReservationPlaced")]
        assert recorded == [one + count for one in before]


async def test_keys_count_per_account_route_and_path(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada, bert = await new_account(), await new_account()
    event = (await post(client, ada, "/events", "1", event_body(total_tickets=9, max_per_buyer=9))).json()
    answers = [await reserve(client, buyer, event, key="1") for buyer in (ada, bert)]
    second = await reserved(client, ada, event)
    answers += [
        await post(client, ada, f"/reservations/{answers[0].json()['id']}/pay", "1"),
        await post(client, ada, f"/reservations/{second['id']}/pay", "1"),
        await post(client, ada, f"/reservations/{second['id']}/cancel", "1"),
        await post(client, ada, f"/events/{event['id']}/cancel", "1"),
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 200, 200, 200, 200]
    assert not any("idempotent-replayed" in answer.headers for answer in answers)


async def test_a_key_used_to_pay_does_not_pay_with_another_reference(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account()
    reservation = await reserved(client, buyer, await new_event(client, buyer))
    path = f"/reservations/{reservation['id']}/pay"
    await post(client, buyer, path, "mine", {"payment_reference": "invoice 7"})
    response = await post(client, buyer, path, "mine", {"payment_reference": "invoice 8"})
    problem_of(response, 422, "idempotency-key-reused")


async def test_a_refusal_is_not_remembered(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada, bert = await new_account(), await new_account()
    event = await new_event(client, ada, total_tickets=1)
    blocking = await reserved(client, bert, event)
    problem_of(await reserve(client, ada, event, key="mine"), 409, "sold-out")
    await cancel(client, bert, "reservations", blocking)
    response = await reserve(client, ada, event, key="mine")
    assert (response.status_code, response.headers.get("idempotent-replayed")) == (201, None)


async def test_a_key_is_1_to_255_visible_ascii_characters(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    account = await new_account()
    bodies = {"/events": event_body(), "/reservations": {"event_id": account.id}}
    paths = [
        *bodies,
        f"/reservations/{account.id}/pay",
        f"/reservations/{account.id}/cancel",
        f"/events/{account.id}/cancel",
    ]
    for key in ("", "a" * 256, "two words", "tab\tbed", "schlüssel".encode("latin-1"), "\x7f"):
        headers: dict[str, Any] = account.headers | {"Idempotency-Key": key}
        for path in paths:
            response = await client.post(path, json=bodies.get(path), headers=headers)
            assert problem_of(response, 422, "invalid-request")["errors"][0]["path"] == "Idempotency-Key"


async def test_a_key_may_be_255_characters_of_any_visible_kind(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    visible = "".join(map(chr, range(0x21, 0x7F)))
    response = await post(client, await new_account(), "/events", (visible * 3)[:255], event_body())
    assert response.status_code == 201


async def test_a_request_has_one_key(app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    before = await count_recorded(app, "EventCreated")
    headers = [*buyer.headers.items(), ("Idempotency-Key", "order-1"), ("Idempotency-Key", "order-1")]
    answered = await client.post("/events", json=event_body(), headers=headers)
    assert problem_of(answered, 422, "invalid-request")["errors"][0]["path"] == "Idempotency-Key"
    assert await count_recorded(app, "EventCreated") == before


def test_a_key_makes_the_same_event_down_to_its_ticket_types() -> None:
    new = NewEvent.model_validate(event_body(ticket_types=[ticket_type("Stalls"), ticket_type("Balcony")]))
    actor, request_id = Actor(UUID(int=1)), UUID(int=2)
    key = idempotency_of("order-1", UUID(int=1), "POST /events", body=new)
    assert new.command(actor, request_id, key) == new.command(actor, request_id, key)
    assert len({one.ticket_type_id for one in new.command(actor, request_id, key).ticket_types}) == 2
    unkeyed = [new.command(actor, request_id, None).ticket_types for _ in range(2)]
    assert unkeyed[0] != unkeyed[1]


def test_hashes_tell_accounts_routes_paths_keys_and_bodies_apart() -> None:
    ada, bert = uuid4(), uuid4()
    first = idempotency_of("1", ada, "POST /a/{id}", (ada,), Payment())
    others = [
        idempotency_of("1", bert, "POST /a/{id}", (ada,), Payment()),
        idempotency_of("1", ada, "POST /b/{id}", (ada,), Payment()),
        idempotency_of("1", ada, "POST /a/{id}", (bert,), Payment()),
        idempotency_of("2", ada, "POST /a/{id}", (ada,), Payment()),
        idempotency_of("1", ada, "POST /a/{id}", (ada,), Payment(payment_reference="1")),
    ]
    known = [one for one in [first, *others] if one]
    same_key, same_request = [
        [getattr(one, name) == getattr(known[0], name) for one in known] for name in ("key_sha256", "request_sha256")
    ]
    assert same_key == [True, False, False, False, False, True]
    assert same_request == [True, True, False, False, True, False]
    assert idempotency_of(None, ada, "POST /a") is None


def test_ids_come_from_the_key_where_there_is_one() -> None:
    first, again, other = [idempotency_of(key, UUID(int=1), "POST /a") for key in "112"]
    assert id_to_create(first) == id_to_create(again) != id_to_create(other)
    assert (id_to_create(first).version, id_to_create(None).version) == (8, 7)
    assert id_to_create(None) != id_to_create(None)
