"""What organisers change of their events, and cancelling them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI

from tests import box_office
from tests.api.conftest import JWT_SECRET, LoggedIn, LogIn, problem_of
from tests.api.programme import (
    TOMORROW,
    UNKNOWN_ID,
    cancel,
    count_recorded,
    event_body,
    folding,
    instant,
    new_event,
    reserve,
    reserved,
    set_roles,
    short_event,
    ticket_type,
    until,
)
from tests.begun_sessions import token_of

SOME_ID = str(UUID(int=7))
NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"title": None}, "title"),
    ({"starts_at": None}, "starts_at"),
    ({"ends_at": None}, "ends_at"),
    ({"total_tickets": None}, "total_tickets"),
    ({"ticket_types": None}, "ticket_types"),
    ({"ticket_types": []}, "ticket_types"),
    ({"ticket_types": [{"id": SOME_ID, "capacity": 1}] * 2}, "ticket_types"),
    ({"ticket_types": [{"id": SOME_ID, "capacity": 1}], "total_tickets": 1}, "ticket_types"),
    ({"ticket_types": [{"id": SOME_ID, "capacity": 1, "currency": "EUR"}]}, "ticket_types.0.currency"),
    ({"total_tickets": 0}, "total_tickets"),
    ({"amount_minor": 1}, "amount_minor"),
    ({"organiser_id": SOME_ID}, "organiser_id"),
    ({"status": "cancelled"}, "status"),
    ({"starts_at": "2030-01-02T00:00:00Z", "ends_at": "2030-01-02T00:00:00Z"}, "ends_at"),
    ({"ends_at": "2024-01-01T00:00:00Z"}, "ends_at"),
    ({"starts_at": "2024-01-01T00:00:00Z"}, "starts_at"),
    ({"sales_close_at": instant(TOMORROW + timedelta(days=5))}, "sales_close_at"),
    ({"sales_open_at": instant(TOMORROW + timedelta(days=5))}, "sales_open_at"),
]


@pytest.fixture
def app(shared_app: FastAPI) -> FastAPI:
    """One for all tests here."""
    return shared_app


@pytest.fixture(scope="module", autouse=True)
async def _projections(shared_app: FastAPI) -> AsyncIterator[None]:
    async with folding(shared_app.state.services.config.box_office):
        yield


async def change(
    client: httpx2.AsyncClient, account: LoggedIn, event: dict[str, Any], **changes: Any
) -> httpx2.Response:
    return await client.patch(f"/events/{event['id']}", json=changes, headers=account.headers)


async def test_a_change_keeps_the_rest_and_null_restores_the_default(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    for field, value, default in (
        ("description", "Now with an encore", None),
        ("street", "Opernring 2", None),
        ("city", "Wien", None),
        ("state", "Wien", None),
        ("country", "Austria", None),
        ("sales_open_at", instant(TOMORROW - timedelta(hours=1)), None),
        ("sales_close_at", instant(TOMORROW), None),
        ("max_per_buyer", 7, 1),
        ("hold_seconds", 300, 120),
        ("hold_extension_seconds", 60, 0),
    ):
        changed = await change(client, organiser, event, **{field: value})
        told = {field: value, "edition": event["edition"] + 1}
        if isinstance(value, str) and field.endswith("_at"):
            told |= {f"{field}_local": value.replace("Z", "+00:00"), "on_sale_changes_at": value}
            told |= {"on_sale": "not-yet"} if field == "sales_open_at" else {}
        assert (changed.status_code, changed.json()) == (200, event | told)
        read = await client.get(f"/events/{event['id']}?min_position={changed.headers['tixxety-position']}")
        assert read.json() == changed.json()
        restored = await change(client, organiser, event, **{field: None})
        event["edition"] += 2
        assert (restored.json()[field], restored.json()) == (default, event)


async def test_title_and_times_change(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    later = {"starts_at": instant(TOMORROW + timedelta(days=9)), "ends_at": instant(TOMORROW + timedelta(days=10))}
    changed = await change(client, organiser, event, title=" Encore ", **later)
    on_a_clock = {f"{name}_local": at.replace("Z", "+00:00") for name, at in later.items()}
    told = {"title": "Encore", "on_sale_changes_at": later["ends_at"], "edition": 2}
    assert changed.json() == event | later | on_a_clock | told


async def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    for changes, path in NONSENSE:
        response = await change(client, organiser, event, description="changed", **changes)
        assert path in [error["path"] for error in problem_of(response, 422, "invalid-request")["errors"]], changes
    assert (await client.get(f"/events/{event['id']}", headers=organiser.headers)).json() == event


async def test_equal_values_record_nothing(app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    created = await client.post("/events", json=event_body(), headers=organiser.headers)
    event, position = created.json(), created.headers["tixxety-position"]
    before = [await count_recorded(app, kind) for kind in ("EventDetailsChanged", "LimitsChanged")]
    for same in ({}, {"title": event["title"], "hold_seconds": None, "starts_at": event["starts_at"]}):
        response = await change(client, organiser, event, **same)
        assert (response.json(), response.headers["tixxety-position"]) == (event, position)
    assert [await count_recorded(app, kind) for kind in ("EventDetailsChanged", "LimitsChanged")] == before


async def test_more_tickets_can_be_sold_at_once(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser, buyer = await new_account(), await new_account()
    event = await new_event(client, organiser, total_tickets=1)
    await reserved(client, organiser, event)
    problem_of(await reserve(client, buyer, event), 409, "sold-out")
    grown = await change(client, organiser, event, total_tickets=2)
    assert grown.json()["ticket_types"][0] == event["ticket_types"][0] | {"capacity": 2, "reserved": 1, "available": 1}
    await reserved(client, buyer, event)


async def test_capacities_change_by_ticket_type(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, ticket_types=[ticket_type("Stalls", 5), ticket_type("Gallery", 6)])
    stalls, gallery = event["ticket_types"]
    changed = await change(client, organiser, event, ticket_types=[{"id": gallery["id"], "capacity": 8}])
    assert changed.json()["ticket_types"] == [stalls, gallery | {"capacity": 8, "available": 8}]
    problem_of(await change(client, organiser, event, total_tickets=9), 422, "ticket-type-required")
    unknown = [{"id": str(uuid4()), "capacity": 8}]
    problem_of(await change(client, organiser, event, ticket_types=unknown), 404, "ticket-type-not-found")


async def test_a_capacity_stays_above_what_is_taken_and_the_whole_change_with_it(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, total_tickets=5, max_per_buyer=3)
    await reserved(client, organiser, event, quantity=3)
    response = await change(client, organiser, event, title="Smaller", total_tickets=2)
    problem = problem_of(response, 409, "capacity-below-taken")
    assert (problem["taken"], problem["ticket_type_id"]) == (3, event["ticket_types"][0]["id"])
    read = await client.get(f"/events/{event['id']}", headers=organiser.headers)
    assert (read.json()["title"], read.json()["ticket_types"][0]["capacity"]) == (event["title"], 5)
    full = await change(client, organiser, event, total_tickets=3)
    assert full.json()["ticket_types"][0]["available"] == 0


async def test_limits_count_for_later_reservations_only(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, max_per_buyer=2)
    before = await reserved(client, organiser, event, quantity=2)
    await change(client, organiser, event, max_per_buyer=1, hold_seconds=1)
    read = await client.get(f"/reservations/{before['id']}", headers=organiser.headers)
    assert read.json() == before
    assert problem_of(await reserve(client, organiser, event), 409, "limit-per-buyer")["limit"] == 1


async def test_only_its_organiser_and_an_admin_change_or_cancel_an_event(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser, stranger = await new_account(), await new_account()
    event = await new_event(client, organiser)
    problem_of(await change(client, stranger, event, title="Mine"), 403, "forbidden")
    problem_of(await cancel(client, stranger, "events", event), 403, "forbidden")
    await set_roles(app, stranger, "admin")
    assert (await change(client, stranger, event, title="Moderated")).json()["title"] == "Moderated"
    await set_roles(app, stranger, "analyst", "auditor")
    problem_of(await change(client, stranger, event, title="Mine"), 403, "forbidden")
    problem_of(await cancel(client, stranger, "events", event), 403, "forbidden")
    await set_roles(app, stranger, "admin")
    assert (await cancel(client, stranger, "events", event)).json()["status"] == "cancelled"


async def test_what_a_token_says_of_roles_makes_no_admin(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser, stranger = await new_account(), await new_account()
    event = await new_event(client, organiser)
    former = stranger._replace(token=token_of(JWT_SECRET, UUID(stranger.id), "admin"))
    problem_of(await change(client, former, event, title="Mine"), 403, "forbidden")
    problem_of(await cancel(client, former, "events", event), 403, "forbidden")
    problem_of(await client.get("/audit/seals", headers=former.headers), 403, "forbidden")


async def test_a_title_from_before_text_was_composed_stays_until_it_is_changed(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    title = "\u200bCafe\u0301"
    create = box_office.create(UUID(organiser.id), title=title)
    await app.state.services.commands.submit(create)
    event = {"id": str(create.event_id)}
    changed = await change(client, organiser, event, description="Two\nlines")
    assert (changed.status_code, changed.json()["title"]) == (200, title)
    read = await client.get(f"/events/{event['id']}", headers=organiser.headers)
    assert read.json()["title"] == title
    assert "title" in problem_of(await change(client, organiser, event, title=title), 422, "invalid-request")["detail"]
    assert (await change(client, organiser, event, title="Cafe\u0301")).json()["title"] == "Caf\u00e9"


async def test_a_change_cannot_take_the_name_of_another_event(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    first = await new_event(client, organiser, title="Matinée")
    second = await new_event(client, organiser, title="Soirée")
    problem = problem_of(await change(client, organiser, second, title="MATINÉE"), 409, "event-exists")
    assert problem["event_id"] == first["id"]
    await change(client, organiser, first, title="Brunch")
    assert (await change(client, organiser, second, title="Matinée")).status_code == 200


@pytest.mark.parametrize("path", [f"/events/{UNKNOWN_ID}", "/events/42"])
async def test_what_is_not_there_cannot_be_changed(client: httpx2.AsyncClient, new_account: LogIn, path: str) -> None:
    headers = (await new_account()).headers
    code = "not-found" if path.endswith("42") else "event-not-found"
    problem_of(await client.patch(path, json={"title": "New"}, headers=headers), 404, code)
    problem_of(await client.post(f"{path}/cancel", headers=headers), 404, code)


async def test_a_cancelled_event_stays_cancelled_and_as_it_was(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    cancelled = await cancel(client, organiser, "events", event)
    assert cancelled.json()["cancelled_at"] >= event["created_at"]
    told = {"status": "cancelled", "on_sale": "cancelled", "on_sale_changes_at": None, "edition": 2}
    assert cancelled.json() == event | told | {"cancelled_at": cancelled.json()["cancelled_at"]}
    again = await cancel(client, organiser, "events", event)
    assert (again.status_code, again.json()) == (200, cancelled.json())
    assert again.headers["tixxety-position"] == cancelled.headers["tixxety-position"]
    problem_of(await change(client, organiser, event, title="Revived"), 409, "event-cancelled")
    read = await client.get(f"/events/{event['id']}", headers=organiser.headers)
    assert read.json() == cancelled.json()


async def test_an_event_that_has_ended_can_be_cancelled_and_not_be_changed(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await short_event(client, organiser)
    await until(app, event["ends_at"])
    problem_of(await change(client, organiser, event, title="Longer"), 409, "event-ended")
    cancelled = await cancel(client, organiser, "events", event)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert cancelled.json()["cancelled_at"] >= event["ends_at"]
