"""The domain events for auditors over HTTP: pages that stay while history grows, lines without end, CloudEvents."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from api.audit.domain_event_routes import CLOUD_EVENTS, JSON, LINES, media_type_of
from api.audit.schemas import Type
from api.http import cursors
from bench.filling import filling
from eventstore.postgres.connections import connect
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from projections.projector.projector import FOLD_SETTINGS
from projections.queries import audit_trail_queries
from projections.tables.audit_trail import EVENT_SIDES, TABLE
from tests.api.conftest import LoggedIn, problem_of
from tests.api.programme import TOMORROW, an_auditor, cancel, crowd, folding, new_event, pay, reserved

PATH = "/audit/domain-events"
# Of a part, and whatever else a request takes; all lines together are several times that.
PART_BYTES = 5 * 1024 * 1024


@pytest.fixture
async def auditor(app: FastAPI) -> LoggedIn:
    return await an_auditor(app)


@pytest.fixture
async def folded(app: FastAPI, database_url: str) -> AsyncIterator[None]:
    async with folding(database_url):
        yield


async def some_history(client: httpx2.AsyncClient, app: FastAPI) -> tuple[list[LoggedIn], dict[str, Any]]:
    """An event with three buyers: one has paid, one has cancelled, one still holds; and another event."""
    organiser, *buyers = await crowd(app, 4)
    event = await new_event(client, organiser, total_tickets=10)
    reservations = [await reserved(client, buyer, event) for buyer in buyers]
    assert (await pay(client, buyers[0], reservations[0])).status_code == 200
    assert (await cancel(client, buyers[1], "reservations", reservations[1])).status_code == 200
    await new_event(client, organiser)
    return buyers, event


async def items(
    client: httpx2.AsyncClient, auditor: LoggedIn, limit: int = 200, **filters: Any
) -> list[dict[str, Any]]:
    """All pages, one after the other."""
    found: list[dict[str, Any]] = []
    query = {"limit": limit, **filters}
    while True:
        answered = await client.get(PATH, params=query, headers=auditor.headers)
        assert answered.status_code == 200, answered.text
        found += answered.json()["items"]
        if answered.json()["next_cursor"] is None:
            return found
        query["cursor"] = answered.json()["next_cursor"]


@pytest.mark.usefixtures("folded")
async def test_every_domain_event_is_listed_as_it_is_stored(
    client: httpx2.AsyncClient, app: FastAPI, auditor: LoggedIn
) -> None:
    buyers, event = await some_history(client, app)
    listed = await items(client, auditor)
    assert [item["position"] for item in listed] == list(range(1, 13))
    held = next(item for item in listed if item["type"] == "TicketsHeld")
    assert (held["stream"], held["version"], held["event_id"]) == (event["id"], 2, event["id"])
    assert held["command_position"] == held["position"] + 1
    assert held["actor_id"] == buyers[0].id
    assert held["state"]["buyer_id"] == buyers[0].id
    assert (held["state"]["timestamp"], held["state"]["request_id"]) == (held["recorded_at"], held["request_id"])
    async with app.state.services.pool.connection() as connection:
        rows = await (
            await connection.execute("SELECT position, type, state FROM history ORDER BY position")
        ).fetchall()
    assert [(item["position"], item["type"], item["state"]) for item in listed] == rows


@pytest.mark.usefixtures("folded")
async def test_each_filter_selects_what_it_says(client: httpx2.AsyncClient, app: FastAPI, auditor: LoggedIn) -> None:
    buyers, event = await some_history(client, app)
    listed = await items(client, auditor)
    middle = listed[6]

    async def positions(**filters: Any) -> list[int]:
        return [item["position"] for item in await items(client, auditor, limit=2, **filters)]

    def those(**wanted: Any) -> list[int]:
        return [item["position"] for item in listed if wanted.items() <= item.items()]

    for filters in (
        {"event_id": event["id"]},
        {"reservation_id": middle["reservation_id"]},
        {"actor_id": buyers[1].id},
        {"actor_id": "system"},
        {"type": "TicketsHeld"},
        {"type": "EventCreated", "event_id": event["id"]},
        {"actor_id": buyers[0].id, "type": "ReservationPaid"},
    ):
        assert await positions(**filters) == those(**filters), filters
    either = {*those(type="EventCreated"), *those(type="TicketsReleased"), *those(type="ReservationPlaced")}
    types = ["TicketsReleased", "EventCreated", "ReservationPlaced", "EventCreated"]
    assert await positions(type=types) == sorted(either)
    assert await positions(type=types, event_id=event["id"]) == sorted({*either} & {*those(event_id=event["id"])})
    assert await positions(after=7) == list(range(8, 13))
    at = middle["recorded_at"]
    assert await positions(since=at) == [item["position"] for item in listed if item["recorded_at"] >= at]
    assert await positions(until=at) == [item["position"] for item in listed if item["recorded_at"] < at]
    assert await positions(actor_id=buyers[1].id.upper()) == those(actor_id=buyers[1].id)


@pytest.mark.usefixtures("folded")
async def test_pages_stay_as_they_are_while_history_grows(
    client: httpx2.AsyncClient, app: FastAPI, auditor: LoggedIn
) -> None:
    await some_history(client, app)
    query: dict[str, Any] = {"limit": 5}
    first = (await client.get(PATH, params=query, headers=auditor.headers)).json()
    (organiser,) = await crowd(app, 1)
    await new_event(client, organiser)
    again = (await client.get(PATH, params=query, headers=auditor.headers)).json()
    assert again == first
    behind = await items(client, auditor, limit=5, cursor=first["next_cursor"])
    assert [item["position"] for item in first["items"] + behind] == list(range(1, 14))
    foreign = {"cursor": first["next_cursor"], "type": "TicketsHeld"}
    problem_of(await client.get(PATH, params=foreign, headers=auditor.headers), 422, "invalid-request")


@pytest.mark.usefixtures("folded")
async def test_a_page_of_wide_domain_events_ends_early_and_the_next_goes_on(
    client: httpx2.AsyncClient, app: FastAPI, auditor: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_history(client, app)
    whole = await items(client, auditor)
    monkeypatch.setattr(cursors, "LARGEST_PAGE_BYTES", 1_000)
    first = await client.get(PATH, params={"limit": 200}, headers=auditor.headers)
    assert 0 < len(first.json()["items"]) < len(whole)
    assert await items(client, auditor) == whole


@pytest.mark.usefixtures("folded")
async def test_a_part_without_any_item_leads_on(
    client: httpx2.AsyncClient, app: FastAPI, auditor: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_trail_queries, "WALKED_POSITIONS", 2)
    await some_history(client, app)
    first = (await client.get(PATH, params={"type": "ReservationPaid"}, headers=auditor.headers)).json()
    assert first["items"] == []
    (paid,) = await items(client, auditor, type="ReservationPaid", cursor=first["next_cursor"])
    assert paid["position"] == 9
    lines = await client.get(PATH, params={"type": "ReservationPaid"}, headers=auditor.headers | {"Accept": LINES})
    assert [json.loads(line) for line in lines.text.splitlines()] == [paid]


@pytest.mark.usefixtures("folded")
async def test_lines_are_the_items_of_all_pages(client: httpx2.AsyncClient, app: FastAPI, auditor: LoggedIn) -> None:
    await some_history(client, app)
    for filters in ({}, {"type": "TicketsHeld"}, {"after": 7}, {"type": "CapacityChanged"}):
        answered = await client.get(PATH, params=filters, headers=auditor.headers | {"Accept": LINES})
        assert (answered.status_code, answered.headers["content-type"]) == (200, LINES)
        assert answered.headers["vary"] == "Accept"
        assert [json.loads(line) for line in answered.text.splitlines()] == await items(client, auditor, **filters)
    for wrong in ({"limit": 5}, {"cursor": "abc"}):
        refused = await client.get(PATH, params=wrong, headers=auditor.headers | {"Accept": LINES})
        problem_of(refused, 422, "invalid-request")


@pytest.mark.usefixtures("folded")
async def test_cloud_events_come_in_linked_batches(client: httpx2.AsyncClient, app: FastAPI, auditor: LoggedIn) -> None:
    _, event = await some_history(client, app)
    headers = auditor.headers | {"Accept": f"{CLOUD_EVENTS}, application/json;q=0.5"}
    url, batches = f"{PATH}?limit=4&event_id={event['id']}", []
    while url:
        answered = await client.get(url, headers=headers)
        assert (answered.headers["content-type"], answered.headers["vary"]) == (CLOUD_EVENTS, "Accept")
        batches.append(answered.json())
        url = answered.links.get("next", {}).get("url", "")
    listed = await items(client, auditor, event_id=event["id"])
    assert [len(batch) for batch in batches] == [4, 4, 3]
    flat = [cloud for batch in batches for cloud in batch]
    assert [(c["specversion"], int(c["id"]), c["type"], c["data"]) for c in flat] == [
        ("1.0", item["position"], f"tixxety.{item['type']}", item["state"]) for item in listed
    ]
    two_types = f"{PATH}?limit=1&type=TicketsSold&type=EventCreated"
    linked = (await client.get(two_types, headers=headers)).links["next"]["url"]
    assert linked.startswith(f"{two_types}&cursor=")
    assert [cloud["type"] for cloud in (await client.get(linked, headers=headers)).json()] == ["tixxety.TicketsSold"]


async def test_a_filter_that_can_not_be_meant_is_refused(client: httpx2.AsyncClient, auditor: LoggedIn) -> None:
    for wrong in (
        {"type": "TicketsStolen"},
        {"actor_id": "nobody"},
        {"event_id": "7"},
        {"since": "2030-05-01T19:30:00"},
        {"until": "yesterday"},
        {"after": "-1"},
        {"limit": "201"},
        {"colour": "red"},
        {"cursor": "abc"},
    ):
        problem = problem_of(await client.get(PATH, params=wrong, headers=auditor.headers), 422, "invalid-request")
        assert [error["path"].removesuffix(".0") for error in problem["errors"]] == list(wrong)
    second = {"type": ["TicketsHeld", "TicketsStolen"]}
    problem = problem_of(await client.get(PATH, params=second, headers=auditor.headers), 422, "invalid-request")
    assert [error["path"] for error in problem["errors"]] == ["type.1"]
    twice = await client.get(f"{PATH}?limit=5&limit=6", headers=auditor.headers)
    assert problem_of(twice, 422, "invalid-request")["errors"] == [{"path": "limit", "message": "was given twice"}]


async def test_lines_take_no_more_memory_than_a_part_of_them_and_no_connection_while_they_are_sent(
    app: FastAPI, auditor: LoggedIn, database_url: str
) -> None:
    def fill() -> None:
        with filling(database_url) as filled:
            event = filled.open_event(TOMORROW)
            for _ in range(4_000):
                filled.reserve(event, uuid4(), TOMORROW)

    await asyncio.to_thread(fill)
    await fold(database_url)
    lines = 0

    def sent(body: bytes) -> None:
        nonlocal lines
        lines += body.count(b"\n")
        stats = app.state.services.pool.get_stats()
        assert stats["pool_available"] == stats["pool_size"]

    tracemalloc.start()
    try:
        await read_slowly(app, auditor, sent)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lines == 8_001
    assert peak_bytes < PART_BYTES


async def test_what_the_history_has_lost_is_still_in_the_index(
    client: httpx2.AsyncClient, app: FastAPI, auditor: LoggedIn, database_url: str
) -> None:
    await some_history(client, app)
    await fold(database_url)
    before = await items(client, auditor)
    async with app.state.services.pool.connection() as connection:
        await connection.execute("RESET ROLE")
        await connection.execute("ALTER TABLE stored_events DISABLE TRIGGER append_only")
        await connection.execute("DELETE FROM stored_events WHERE notification_id IN (4, 7)")
        await connection.execute("SET ROLE tixxety_app")
    before[6] |= {"state": None, "command_position": None}
    # The event's own domain event has no row of its own: the reservation's tells of it.
    before[3] |= {"state": None, "command_position": None, "version": None}
    assert await items(client, auditor) == before
    batch = await client.get(PATH, headers=auditor.headers | {"Accept": CLOUD_EVENTS})
    assert [cloud["id"] for cloud in batch.json()] == [str(n) for n in range(1, 13) if n not in (4, 7)]


async def fold(database_url: str) -> None:
    """Bring the projections up to date, once."""
    async with await connect(database_url, **FOLD_SETTINGS) as connection:
        while await Batches(connection, await checkpoint.read(connection)).fold_next(5_000):
            pass


async def read_slowly(app: FastAPI, auditor: LoggedIn, sent: Callable[[bytes], None]) -> None:
    """Ask for all lines, and look at each part of the answer before the next one is sent."""
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": PATH}
    scope |= {"raw_path": PATH.encode(), "query_string": b"", "root_path": "", "scheme": "http", "client": None}
    scope |= {"headers": [(b"authorization", f"Bearer {auditor.token}".encode()), (b"accept", LINES.encode())]}
    whole = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return whole.pop() if whole else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent(message.get("body", b""))

    await app(scope, receive, send)


def test_the_media_type_that_a_client_likes_best_is_answered() -> None:
    assert media_type_of(None) == JSON
    assert media_type_of("*/*") == JSON
    assert media_type_of("text/html,application/xhtml+xml;q=0.9") == JSON
    assert media_type_of(LINES) == LINES
    assert media_type_of(f"Application/X-NDJSON;q=0.2, {CLOUD_EVENTS};q=0.9, */*;q=0.1") == CLOUD_EVENTS
    assert media_type_of(f"{LINES};q=0") == JSON
    assert media_type_of(f"{LINES};q=much") == JSON


def test_the_types_to_filter_by_are_all_that_there_are() -> None:
    types = {*TABLE.changed_keys, *EVENT_SIDES.values()}
    assert set(Type.__args__) == {kind.TOPIC for kind in types}  # type: ignore[attr-defined]
