"""The story of an event over HTTP: every change with its before and after, in pages that stay."""

from typing import Any

import httpx2
from fastapi import FastAPI

from tests.api.conftest import LoggedIn, problem_of
from tests.api.programme import UNKNOWN_ID, an_auditor, cancel, crowd, new_event, pay, reserved, ticket_type

Story = tuple[str, LoggedIn, dict[str, Any], httpx2.Response]


async def some_story(client: httpx2.AsyncClient, app: FastAPI) -> Story:
    """An event that sells, grows and is cancelled: the path of its story, its organiser, it, and the change."""
    organiser, ann, ben = await crowd(app, 3)
    event = await new_event(client, organiser, ticket_types=[ticket_type("Standing", 3), ticket_type("Seated", 5)])
    standing, seated = (one["id"] for one in event["ticket_types"])
    anns = await reserved(client, ann, event, ticket_type_id=standing)
    assert (await pay(client, ann, anns)).status_code == 200
    await reserved(client, ben, event, ticket_type_id=seated)
    change = {"ticket_types": [{"id": standing, "capacity": 7}]}
    changed = await client.patch(f"/events/{event['id']}", json=change, headers=organiser.headers)
    assert changed.status_code == 200, changed.text
    assert (await cancel(client, organiser, "events", event)).status_code == 200
    return f"/audit/events/{event['id']}/story", organiser, event, changed


async def test_each_change_is_told_from_what_to_what(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    path, organiser, event, changed = await some_story(client, app)
    standing, seated = (one["id"] for one in event["ticket_types"])
    entries = (await client.get(path, headers=auditor.headers)).json()["items"]
    assert [entry["type"] for entry in entries] == ["EventCreated", "sales", "CapacityChanged", "EventCancelled"]
    created, _, capacity, cancelled = entries
    assert created["changes"][0] == {"what": "title", "ticket_type_id": None, "before": None, "after": event["title"]}
    assert {"what": "capacity", "ticket_type_id": seated, "before": None, "after": 5} in created["changes"]
    assert capacity["changes"] == [{"what": "capacity", "ticket_type_id": standing, "before": 3, "after": 7}]
    assert capacity["sentence"] == (
        "The organiser changed the capacity of Standing from 3 to 7, with 1 of 7 then taken."
    )
    assert (capacity["actor_id"], capacity["request_id"]) == (organiser.id, changed.headers["x-request-id"])
    assert cancelled["changes"] == [
        {"what": "status", "ticket_type_id": None, "before": "scheduled", "after": "cancelled"}
    ]


async def test_sales_between_changes_are_sums(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    path, _, event, _ = await some_story(client, app)
    standing, seated = (one["id"] for one in event["ticket_types"])
    sales = (await client.get(path, headers=auditor.headers)).json()["items"][1]
    assert (sales["actor_id"], sales["request_id"], sales["changes"]) == (None, None, [])
    money = {"revenue_minor": 2500, "refunds_due_minor": 0, "currency": "EUR"}
    first, second = sales["sales"]
    assert first == {
        "ticket_type_id": standing, "tickets_held": 1, "tickets_held_longer": 0, "tickets_paid": 1,
        "tickets_released": {}, **money
    }  # fmt: skip
    assert (second["ticket_type_id"], second["tickets_held"], second["tickets_paid"]) == (seated, 1, 0)
    assert [(one["reserved"], one["paid"]) for one in sales["counts"]] == [(0, 1), (1, 0)]


async def test_pages_go_on_where_the_one_before_has_ended(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    path, *_ = await some_story(client, app)
    whole = (await client.get(path, headers=auditor.headers)).json()
    assert whole["next_cursor"] is None
    for limit in (1, 2, 3):
        found: list[Any] = []
        query: dict[str, Any] = {"limit": limit}
        while "cursor" not in query or query["cursor"]:
            page = (await client.get(path, params=query, headers=auditor.headers)).json()
            assert len(page["items"]) <= limit
            found += page["items"]
            query["cursor"] = cursor = page["next_cursor"]
        assert found == whole["items"]
        assert cursor is None
    first = (await client.get(path, params={"limit": 1}, headers=auditor.headers)).json()["next_cursor"]
    other = f"/audit/events/{UNKNOWN_ID}/story?cursor={first}"
    problem_of(await client.get(other, headers=auditor.headers), 422, "invalid-request")


async def test_its_positions_are_what_as_of_knows_also_where_one_command_changed_more(
    client: httpx2.AsyncClient, app: FastAPI
) -> None:
    auditor = await an_auditor(app)
    path, organiser, event, _ = await some_story(client, app)
    more = await new_event(client, organiser)
    change = {"description": "Longer", "max_per_buyer": 3, "hold_seconds": 60}
    assert (await client.patch(f"/events/{more['id']}", json=change, headers=organiser.headers)).status_code == 200
    for event_id in (event["id"], more["id"]):
        path = f"/audit/events/{event_id}"
        entries = (await client.get(f"{path}/story", headers=auditor.headers)).json()["items"]
        paged: list[Any] = []
        cursor: dict[str, Any] = {}
        while len(paged) < len(entries):
            page = (await client.get(f"{path}/story", params={"limit": 1} | cursor, headers=auditor.headers)).json()
            paged += page["items"]
            cursor = {"cursor": page["next_cursor"]}
        assert paged == entries
        for entry in entries:
            asked = {"position": entry["position"]}
            moment = (await client.get(f"{path}/as-of", params=asked, headers=auditor.headers)).json()
            assert moment["position"] == entry["position"]
            for count, offer in zip(entry["counts"], moment["ticket_types"], strict=True):
                assert count["reserved"] == offer["reserved"]
                assert count["paid"] == offer["paid"]


async def test_an_event_that_is_none_has_no_story(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    organiser, ann = await crowd(app, 2)
    reservation = await reserved(client, ann, await new_event(client, organiser))
    for no_event in (UNKNOWN_ID, reservation["id"]):
        answered = await client.get(f"/audit/events/{no_event}/story", headers=auditor.headers)
        problem_of(answered, 404, "event-not-found")
    problem_of(await client.get("/audit/events/mine/story", headers=auditor.headers), 404, "not-found")
