"""The catalogue: creating events, reading one, finding them, and those near the reader."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx2
import pytest

from tests.api.conftest import LogIn, problem_of
from tests.api.programme import (
    TOMORROW,
    UNKNOWN_ID,
    cancel,
    event_body,
    folding,
    instant,
    new_event,
    reserved,
    ticket_type,
)

SEARCHES: list[tuple[dict[str, str], set[str]]] = [
    ({}, {"Jazz in Graz", "Opera in Graz", "Jazz in Linz", "Jazz in Basel"}),
    ({"q": "jazz"}, {"Jazz in Graz", "Jazz in Linz", "Jazz in Basel"}),
    ({"q": "GRAZ opera"}, {"Opera in Graz"}),
    ({"q": "velvet"}, {"Opera in Graz"}),
    ({"q": " red\tvelvet\n"}, {"Opera in Graz"}),
    ({"q": "cafe\u0301"}, {"Opera in Graz"}),
    ({"q": "%"}, set()),
    ({"city": "gRAZ"}, {"Jazz in Graz", "Opera in Graz"}),
    ({"state": "Upper Austria"}, {"Jazz in Linz"}),
    ({"country": "austria", "q": "jazz"}, {"Jazz in Graz", "Jazz in Linz"}),
    ({"starts_after": "2031-05-02T00:00:00Z"}, {"Opera in Graz", "Jazz in Linz"}),
    ({"starts_after": "2031-05-02T00:00:00Z", "starts_before": "2031-05-03T02:00:00+02:00"}, {"Opera in Graz"}),
    ({"city": "Nowhere"}, set()),
]


@pytest.fixture(autouse=True)
async def projections(database_url: str) -> AsyncIterator[None]:
    async with folding(database_url):
        yield


async def titles(client: httpx2.AsyncClient, path: str = "/events", **request: Any) -> list[str]:
    """The titles of a list's first page."""
    response = await client.get(path, **request)
    assert response.status_code == 200, response.text
    return [item["title"] for item in response.json()["items"]]


async def test_a_new_event_has_the_usual_limits_and_one_free_ticket_type(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, title="Concert", total_tickets=2)
    [general] = event.pop("ticket_types")
    assert general.pop("id") != event.pop("id")
    assert general == {
        "name": "General admission",
        "capacity": 2,
        "amount_minor": 0,
        "currency": "XXX",
        "reserved": 0,
        "withheld": 0,
        "paid": 0,
        "available": 2,
    }
    assert datetime.fromisoformat(event.pop("created_at")) <= datetime.now(UTC) + timedelta(seconds=1)
    assert event == {
        "organiser_id": organiser.id,
        "title": "Concert",
        "starts_at": instant(TOMORROW),
        "ends_at": instant(TOMORROW + timedelta(hours=3)),
        "time_zone": "UTC",
        "starts_at_local": TOMORROW.isoformat(),
        "ends_at_local": (TOMORROW + timedelta(hours=3)).isoformat(),
        "status": "scheduled",
        "max_per_buyer": 1,
        "hold_seconds": 120,
        "on_sale": "now",
        "on_sale_changes_at": instant(TOMORROW + timedelta(hours=3)),
        "edition": 1,
        "hold_extension_seconds": 0,
    } | dict.fromkeys(
        ["description", "street", "city", "state", "country", "cancelled_at", "sales_open_at", "sales_open_at_local"]
    ) | dict.fromkeys(["sales_close_at", "sales_close_at_local"])


async def test_a_new_event_reads_as_it_was_answered(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    body = event_body(
        title="  Ring des Nibelungen ",
        starts_at="2031-05-01T19:30:00.25+02:00",
        ends_at="2031-05-01T23:30:00+02:00",
        description="Four evenings",
        street="Kaiserfeldgasse 1",
        city="Graz",
        state="Styria",
        country="Austria",
        sales_open_at="2030-01-01T00:00:00Z",
        sales_close_at="2031-05-01T21:30:00Z",
        max_per_buyer=4,
        hold_seconds=600,
        ticket_types=[ticket_type("Stalls", 100, 9000), ticket_type("Gallery", 50, 3000, "CHF")],
    )
    created = await client.post("/events", json=body, headers=organiser.headers)
    event = created.json()
    assert created.headers["location"] == f"/events/{event['id']}?min_position={created.headers['tixxety-position']}"
    assert (event["title"], event["starts_at"]) == ("Ring des Nibelungen", "2031-05-01T17:30:00.250000Z")
    assert [(t["name"], t["available"], t["currency"]) for t in event["ticket_types"]] == [
        ("Stalls", 100, "EUR"),
        ("Gallery", 50, "CHF"),
    ]
    read = await client.get(created.headers["location"])
    assert (read.status_code, read.json()) == (200, event)


async def test_nobody_creates_an_event_without_logging_in(client: httpx2.AsyncClient) -> None:
    problem_of(await client.post("/events", json=event_body()), 401, "not-authenticated")


async def test_an_event_starts_in_the_future(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    past = event_body(starts_at=instant(datetime.now(UTC) - timedelta(seconds=1)))
    response = await client.post("/events", json=past, headers=(await new_account()).headers)
    assert problem_of(response, 422, "invalid-request")["errors"][0]["path"] == "starts_at"


async def test_an_organiser_has_one_event_with_a_title_and_start(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser, rival = await new_account(), await new_account()
    event = await new_event(client, organiser, title="Concert")
    same = event_body(title=" CONCERT ", starts_at=instant(TOMORROW.astimezone(timezone(timedelta(hours=5)))))
    problem = problem_of(await client.post("/events", json=same, headers=organiser.headers), 409, "event-exists")
    assert problem["event_id"] == event["id"]
    await new_event(client, rival, title="Concert")
    await new_event(client, organiser, title="Concert", starts_at=instant(TOMORROW + timedelta(minutes=1)))


async def test_cancelling_an_event_frees_its_name(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, title="Concert")
    assert (await cancel(client, organiser, "events", event)).status_code == 200
    assert (await new_event(client, organiser, title="Concert"))["id"] != event["id"]


@pytest.mark.parametrize(
    ("event_id", "code"), [(UNKNOWN_ID, "event-not-found"), ("42", "not-found"), ("for-us", "not-found")]
)
async def test_an_event_that_is_not_there_is_not_found(client: httpx2.AsyncClient, event_id: str, code: str) -> None:
    problem_of(await client.get(f"/events/{event_id}"), 404, code)


async def test_an_etag_saves_an_answer_until_a_ticket_is_sold(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer)
    path = f"/events/{event['id']}"
    etag = (await client.get(path, headers=buyer.headers)).headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        unchanged = await client.get(path, headers={"If-None-Match": known})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", etag)
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200
    await reserved(client, buyer, event)
    changed = await client.get(path, headers=buyer.headers | {"If-None-Match": etag})
    assert (changed.status_code, changed.json()["ticket_types"][0]["available"]) == (200, 1)
    assert changed.headers["etag"] != etag


async def test_the_catalogues_first_page_has_an_etag_too(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    await new_event(client, organiser)
    first = await client.get("/events", headers=organiser.headers)
    known = {"If-None-Match": first.headers["etag"]}
    unchanged = await client.get("/events", headers=known)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    await new_event(client, organiser)
    assert (await client.get("/events", headers=organiser.headers | known)).status_code == 200
    filtered = await client.get("/events", params={"city": "Graz"}, headers=known | {"If-None-Match": "*"})
    assert (filtered.status_code, "etag" in filtered.headers) == (200, False)


async def test_events_are_listed_by_their_start(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    events = [
        await new_event(client, organiser, title=title, starts_at=instant(TOMORROW + timedelta(minutes=minutes)))
        for title, minutes in (("second", 20), ("third", 30), ("first", 10))
    ]
    assert await titles(client, headers=organiser.headers) == ["first", "second", "third"]
    [listed] = (await client.get("/events?q=third")).json()["items"]
    assert listed == {name: value for name, value in events[1].items() if name != "description"}


async def test_events_are_found_by_word_place_and_time(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    for title, city, state, country, day in (
        ("Jazz in Graz", "Graz", "Styria", "Austria", 1),
        ("Opera in Graz", "Graz", "Styria", "Austria", 2),
        ("Jazz in Linz", "Linz", "Upper Austria", "Austria", 3),
        ("Jazz in Basel", "Basel", None, "Switzerland", 1),
    ):
        times = {"starts_at": f"2031-05-0{day}T00:00:00Z", "ends_at": f"2031-05-0{day}T04:00:00Z"}
        place = {"city": city, "state": state, "country": country}
        about = "Red velvet, Caf\u00e9" if "Opera" in title else None
        await new_event(client, organiser, title=title, description=about, **times, **place)
    for filters, found in SEARCHES:
        assert set(await titles(client, params=filters, headers=organiser.headers)) == found, filters


async def test_events_for_you_come_from_your_city_then_your_state_then_your_country(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    buyer = await new_account(city="Graz", state="Styria", country="Austria")
    for minutes, (title, city, state, country) in enumerate(
        [
            ("abroad", "Basel", None, "Switzerland"),
            ("same country", "Linz", "Upper Austria", "Austria"),
            ("same state", "Leoben", "Styria", "Austria"),
            ("same city", "graz", "styria", "austria"),
            ("cancelled", "Graz", "Styria", "Austria"),
        ]
    ):
        starts_at = instant(TOMORROW + timedelta(minutes=minutes))
        event = await new_event(
            client, buyer, title=title, city=city, state=state, country=country, starts_at=starts_at
        )
        if title == "cancelled":
            await cancel(client, buyer, "events", event)
    near = await titles(client, "/events/for-you", headers=buyer.headers)
    assert near == ["same city", "same state", "same country"]
    homeless = await new_account()
    anywhere = await titles(client, "/events/for-you", headers=homeless.headers)
    assert anywhere == ["abroad", "same country", "same state", "same city"]


async def test_events_for_you_need_an_account(client: httpx2.AsyncClient) -> None:
    problem_of(await client.get("/events/for-you"), 401, "not-authenticated")
