"""Whether an event is on sale is told with it and in lists, until that changes and not a moment longer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.app import ApiConfig, create_app
from api.express_lane import ExpressLane
from tests.api.conftest import AtOnce, LoggedIn, LogIn, problem_of
from tests.api.programme import (
    TOMORROW,
    cancel,
    event_body,
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


@pytest.fixture(autouse=True)
async def projections(database_url: str) -> AsyncIterator[None]:
    async with folding(database_url):
        yield


@pytest.fixture
async def other_process(config: ApiConfig) -> AsyncIterator[httpx2.AsyncClient]:
    """Another process of the same box office."""
    app = create_app(config)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(AtOnce(ExpressLane(app)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://other") as client:
            yield client


async def clock(app: FastAPI) -> datetime:
    """What the database's clock shows."""
    async with app.state.services.pool.connection() as connection:
        [(now,)] = await (await connection.execute("SELECT clock_timestamp()")).fetchall()
        assert isinstance(now, datetime)
        return now


async def shown(client: httpx2.AsyncClient, event: dict[str, Any], reserved: int = 0) -> None:
    """Wait until anybody is shown the event, alone and in the list, with so many tickets reserved."""
    for _ in range(1_000):
        answers = [await client.get(path) for path in (f"/events/{event['id']}", "/events")]
        items = [item for answer in answers for item in answer.json().get("items", [answer.json()])]
        told = [item for item in items if item.get("id") == event["id"]]
        seen = [item["ticket_types"][0]["reserved"] for item in told]
        if seen == [reserved, reserved] or any(item["on_sale"] == "ended" for item in told):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


async def watched(
    app: FastAPI,
    processes: Sequence[httpx2.AsyncClient],
    event: dict[str, Any],
    phases: list[tuple[str, str | None]],
    reserved: int = 0,
) -> None:
    """Everything told of the event until its last phase is true at some instant between question and answer."""
    ends = [datetime.fromisoformat(ends_at) for _, ends_at in phases[:-1] if ends_at]
    for process in processes:
        await shown(process, event, reserved)
    for _ in range(10_000):
        for process in processes:
            for path in (f"/events/{event['id']}", "/events"):
                before = await clock(app)
                answer = (await process.get(path)).json()
                after = await clock(app)
                items = [item for item in answer.get("items", [answer]) if item["id"] == event["id"]]
                told = [(item["on_sale"], item["on_sale_changes_at"]) for item in items] or [phases[-1]]
                begun, begun_after = (sum(one <= at for one in ends) for at in (before, after))
                assert told[0] in phases[begun : begun_after + 1]
                if begun == len(ends):
                    return
    raise AssertionError(f"it never became {phases[-1]}")


async def sale(client: httpx2.AsyncClient, event: dict[str, Any], **request: Any) -> tuple[str, str | None]:
    """What is told of the event alone, which its item in the list has to tell, too."""
    alone = (await client.get(f"/events/{event['id']}", **request)).json()
    listed = (await client.get("/events?limit=200", **request)).json()["items"]
    (item,) = [one for one in listed if one["id"] == event["id"]]
    assert item | {"description": alone["description"]} == alone
    return alone["on_sale"], alone["on_sale_changes_at"]


async def test_a_list_has_what_a_shop_page_needs(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    types = [ticket_type("Stalls", 3, 9000), ticket_type("Gallery", 5, 3000, "CHF")]
    event = await new_event(client, buyer, ticket_types=types, description="Four evenings", max_per_buyer=9)
    await reserved(client, buyer, event, ticket_type_id=event["ticket_types"][0]["id"], quantity=2)
    [item] = (await client.get("/events", headers=buyer.headers)).json()["items"]
    assert [(t["name"], t["amount_minor"], t["currency"], t["available"]) for t in item["ticket_types"]] == [
        ("Stalls", 9000, "EUR", 1),
        ("Gallery", 3000, "CHF", 5),
    ]
    assert (item["on_sale"], item["on_sale_changes_at"]) == ("now", item["ends_at"])


async def test_descriptions_come_where_they_are_asked_for(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    reader = await new_account()
    event = await new_event(client, reader, description="Four evenings")
    for path in ("/events", "/events/for-you"):
        for params, told in (
            ({}, None),
            ({"with_description": "false"}, None),
            ({"with_description": "true"}, "Four evenings"),
        ):
            [item] = (await client.get(path, params=params, headers=reader.headers)).json()["items"]
            assert item.get("description") == told
            assert ("description" in item) == (told is not None)
            assert item | {"description": "Four evenings"} == event
        refused = await client.get(path, params={"with_description": "1"}, headers=reader.headers)
        assert problem_of(refused, 422, "invalid-request")["errors"][0]["path"] == "with_description"


async def short_sale(client: httpx2.AsyncClient, organiser: LoggedIn) -> tuple[dict[str, Any], list[str]]:
    """An event whose sales open soon and close soon after, and those instants with its end; later if that fails."""
    for unit_seconds in (0.5, 2, 6):
        now = datetime.fromisoformat((await new_event(client, organiser))["created_at"])
        instants = [instant(now + timedelta(seconds=n * unit_seconds)) for n in (2, 3, 4)]
        names = ("sales_open_at", "sales_close_at", "ends_at")
        body = event_body(starts_at=instants[1], **dict(zip(names, instants, strict=True)))
        response = await client.post("/events", json=body, headers=organiser.headers)
        if response.status_code == 201:
            return response.json(), instants
    raise AssertionError(f"too slow for a short sale: {response.text}")


async def test_sales_open_close_and_end_in_what_is_kept_as_well(
    app: FastAPI, client: httpx2.AsyncClient, other_process: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event, instants = await short_sale(client, organiser)
    assert (event["on_sale"], event["on_sale_changes_at"]) == ("not-yet", instants[0])
    for process in (client, other_process):
        assert (await process.get("/events", headers=organiser.headers)).status_code == 200
    phases = [("not-yet", instants[0]), ("now", instants[1]), ("closed", instants[2]), ("ended", None)]
    await watched(app, (client, other_process), event, phases)


async def test_what_was_true_before_is_answered_with_304_no_more(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await short_event(client, organiser, begins_in_seconds=1)
    before = await client.get(f"/events/{event['id']}", headers=organiser.headers)
    await until(app, event["ends_at"])
    after = await client.get(f"/events/{event['id']}", headers={"If-None-Match": before.headers["etag"]})
    assert (after.status_code, after.json()["on_sale"]) == (200, "ended")


async def test_nobody_in_between_keeps_what_changes_within_a_second(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    shared = "public, max-age=1"
    event = await new_event(client, organiser)
    await shown(client, event)
    assert (await client.get(f"/events/{event['id']}")).headers["cache-control"] == shared
    soon = datetime.now(UTC) + timedelta(seconds=1)
    event = await new_event(client, organiser, sales_open_at=instant(soon))
    path = f"/events/{event['id']}"
    await shown(client, event)
    while (answer := await client.get(path)).json()["on_sale"] == "not-yet":
        assert answer.headers["cache-control"] == "no-cache"
        if datetime.now(UTC) > soon + timedelta(seconds=30):
            raise AssertionError("sales never opened")
    assert answer.headers["cache-control"] == shared


async def test_tickets_are_on_sale_from_the_end_of_a_hold_on_though_no_worker_has_taken_them_back(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ann, bob = await new_account(), await new_account()
    event = await new_event(client, ann, total_tickets=1, hold_seconds=1)
    hold = await reserved(client, ann, event)
    phases = [("sold-out", hold["hold_expires_at"]), ("now", event["ends_at"])]
    await watched(app, (client,), event, phases, reserved=1)
    assert (await reserve(client, bob, event)).status_code == 201


async def test_a_hold_that_is_extended_and_tickets_out_of_sale_change_what_is_told_at_once(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ann = await new_account()
    event = await new_event(client, ann, total_tickets=2, hold_seconds=600, hold_extension_seconds=600)
    hold = await reserved(client, ann, event)
    aside = {"ticket_type_id": event["ticket_types"][0]["id"], "quantity": 1}
    withheld = await client.post(f"/events/{event['id']}/withhold", json=aside, headers=ann.headers)
    assert withheld.status_code == 200, withheld.text
    assert await sale(client, event, headers=ann.headers) == ("sold-out", hold["hold_expires_at"])
    extended = (await client.post(f"/reservations/{hold['id']}/extend", headers=ann.headers)).json()
    assert extended["hold_expires_at"] > hold["hold_expires_at"]
    assert await sale(client, event, headers=ann.headers) == ("sold-out", extended["hold_expires_at"])


async def test_what_is_paid_or_cancelled_changes_no_more_by_itself(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ann = await new_account()
    event = await new_event(client, ann, total_tickets=1, sales_close_at=instant(TOMORROW))
    await pay(client, ann, await reserved(client, ann, event))
    assert await sale(client, event, headers=ann.headers) == ("sold-out", instant(TOMORROW))
    problem_of(await reserve(client, await new_account(), event), 409, "sold-out")
    cancelled = (await cancel(client, ann, "events", event)).json()
    assert (cancelled["on_sale"], cancelled["on_sale_changes_at"]) == ("cancelled", None)


async def test_a_change_tells_what_it_does_to_the_sale(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, total_tickets=2, hold_seconds=600)
    hold = await reserved(client, organiser, event)
    for change, told in (
        ({"total_tickets": 1}, ("sold-out", hold["hold_expires_at"])),
        ({"sales_open_at": instant(TOMORROW)}, ("not-yet", instant(TOMORROW))),
        ({"sales_open_at": None, "total_tickets": 2}, ("now", event["ends_at"])),
    ):
        changed = await client.patch(f"/events/{event['id']}", json=change, headers=organiser.headers)
        assert (changed.json()["on_sale"], changed.json()["on_sale_changes_at"]) == told
        assert await sale(client, event, headers=organiser.headers) == told


async def test_creating_it_again_with_the_same_key_answers_as_at_first(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    opens_at = instant(datetime.now(UTC) + timedelta(seconds=1))
    body = {"title": "Soon", "starts_at": instant(TOMORROW), "ends_at": instant(TOMORROW + timedelta(hours=1))}
    asked = {
        "json": body | {"total_tickets": 1, "sales_open_at": opens_at},
        "headers": organiser.headers | {"Idempotency-Key": "once"},
    }
    first = await client.post("/events", **asked)
    await until(app, opens_at)
    assert (await client.post("/events", **asked)).json() == first.json()
