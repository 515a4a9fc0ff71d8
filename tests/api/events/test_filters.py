"""What the list of events can be asked for, and what it has when nothing is asked."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.conftest import LogIn, problem_of
from tests.api.programme import TOMORROW, cancel, crowd, folding, instant, new_event, reserved, short_event, until


@pytest.fixture(autouse=True)
async def projections(database_url: str) -> AsyncIterator[None]:
    async with folding(database_url):
        yield


async def titles(client: httpx2.AsyncClient, *, headers: dict[str, str] | None = None, **params: Any) -> list[str]:
    response = await client.get("/events", params=params, headers=headers)
    assert response.status_code == 200, response.text
    # A short event is made by the clock of another one.
    return [title for item in response.json()["items"] if not (title := item["title"]).startswith("Concert")]


def now() -> str:
    return instant(datetime.now(UTC))


async def test_what_has_ended_or_is_cancelled_is_listed_where_it_is_asked_for(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    await cancel(client, organiser, "events", await new_event(client, organiser, title="off"))
    await new_event(client, organiser, title="to come", starts_at=instant(TOMORROW + timedelta(minutes=1)))
    past = await short_event(client, organiser, title="over")
    long_ends_at = instant(TOMORROW + timedelta(days=3))
    soon = instant(datetime.fromisoformat(past["ends_at"]) + timedelta(seconds=5))
    on = await new_event(client, organiser, title="on", starts_at=soon, ends_at=long_ends_at)
    await until(app, on["starts_at"])
    yesterday, own = instant(TOMORROW - timedelta(days=2)), organiser.headers
    assert await titles(client, headers=own) == ["on", "to come"]
    assert await titles(client) == ["on", "to come"]
    for params, listed in (
        ({"status": "scheduled"}, ["on", "to come"]),
        ({"status": "cancelled"}, ["off"]),
        ({"status": "any"}, ["on", "off", "to come"]),
        ({"to": now()}, ["on"]),
        ({"ends_after": now()}, ["on", "to come"]),
        ({"from": yesterday}, ["over", "on", "to come"]),
        ({"from": yesterday, "to": now()}, ["over", "on"]),
        ({"from": yesterday, "ends_after": past["ends_at"]}, ["on", "to come"]),
        ({"from": instant(TOMORROW + timedelta(days=1)), "to": long_ends_at}, ["on"]),
        ({"starts_after": yesterday}, ["over", "on", "to come"]),
        ({"starts_after": yesterday, "starts_before": on["starts_at"]}, ["over"]),
        ({"on_sale": "ended"}, ["over"]),
        ({"on_sale": "cancelled"}, ["off"]),
        ({"on_sale": "now"}, ["on", "to come"]),
        ({"on_sale": "closed"}, []),
        ({"on_sale": "not-yet"}, []),
        ({"on_sale": "sold-out"}, []),
    ):
        assert await titles(client, headers=own, **params) == listed, params


async def test_what_has_ended_leaves_the_first_page_that_is_kept(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await short_event(client, organiser)
    before = await client.get("/events", headers=organiser.headers)
    await until(app, event["ends_at"])
    after = await client.get("/events", headers={"If-None-Match": before.headers["etag"]})
    assert event["id"] not in [item["id"] for item in after.json()["items"]]


async def test_an_organisers_events_are_told_from_others_and_ones_own_need_a_token(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ann, bob = await new_account(), await new_account()
    await new_event(client, ann, title="Ann's")
    await new_event(client, bob, title="Bob's")
    assert await titles(client, organiser_id=ann.id, headers=bob.headers) == ["Ann's"]
    for account, own in ((ann, "Ann's"), (bob, "Bob's"), (ann, "Ann's")):
        answer = await client.get("/events", params={"mine": "true"}, headers=account.headers)
        assert [item["title"] for item in answer.json()["items"]] == [own]
        assert answer.headers["cache-control"] == "no-store"
    assert len(await titles(client, mine="false")) == 2
    problem_of(await client.get("/events?mine=true"), 401, "not-authenticated")
    both = await client.get("/events", params={"mine": "true", "organiser_id": ann.id}, headers=ann.headers)
    assert problem_of(both, 422, "invalid-request")["errors"][0]["path"] == "organiser_id"
    assert await titles(client, organiser_id=str(UUID(int=7))) == []


async def test_how_sales_stand_is_a_filter(app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    (buyer,) = await crowd(app, 1)
    gone = await new_event(client, organiser, title="gone", total_tickets=1)
    await reserved(client, buyer, gone)
    await new_event(client, organiser, title="left")
    await new_event(client, organiser, title="soon", sales_open_at=instant(TOMORROW))
    for on_sale, title in (("sold-out", "gone"), ("now", "left"), ("not-yet", "soon")):
        assert await titles(client, on_sale=on_sale, headers=buyer.headers) == [title]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "over"),
        ("status", ""),
        ("on_sale", "maybe"),
        ("from", "yesterday"),
        ("to", ""),
        ("ends_after", "2030-01-01"),
        ("organiser_id", "42"),
        ("mine", "yes"),
        ("since", "2030-01-01T00:00:00Z"),
        ("until", "2030-01-01T00:00:00Z"),
    ],
)
async def test_what_no_list_can_be_asked_for_is_refused(client: httpx2.AsyncClient, name: str, value: str) -> None:
    refused = await client.get("/events", params={name: value})
    assert problem_of(refused, 422, "invalid-request")["errors"][0]["path"] == name
