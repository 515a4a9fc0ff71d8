"""Lists in pages: each item once, in order, and no cursor that was not given for this list."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st

from api.http.cursors import after_cursor, page_of
from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import TOMORROW, folding, instant, new_event, reserved

FILTERS = ("events", None, "Graz")


@pytest.fixture
async def projections(database_url: str) -> AsyncIterator[None]:
    async with folding(database_url):
        yield


async def pages(client: httpx2.AsyncClient, path: str, reader: LoggedIn, **filters: Any) -> list[list[dict[str, Any]]]:
    """All pages of a list, walked by cursor."""
    walked = []
    while True:
        response = await client.get(path, params=filters, headers=reader.headers)
        assert response.status_code == 200, response.text
        walked.append(response.json()["items"])
        if response.json()["next_cursor"] is None:
            return walked
        filters["cursor"] = response.json()["next_cursor"]


@pytest.mark.usefixtures("projections")
async def test_every_event_is_on_one_page_and_in_order(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    starts = [instant(TOMORROW + timedelta(minutes=minutes)) for minutes in (5, 5, 3, 5, 3, 4)]
    events = [await new_event(client, organiser, city="Graz", starts_at=starts_at) for starts_at in starts]
    in_order = [event["id"] for event in sorted(events, key=lambda event: (event["starts_at"], UUID(event["id"])))]
    for limit, sizes in ((1, [1] * 6), (2, [2, 2, 2]), (4, [4, 2]), (6, [6]), (200, [6])):
        walked = await pages(client, "/events", organiser, limit=limit, city="Graz")
        assert [len(page) for page in walked] == sizes
        assert [item["id"] for page in walked for item in page] == in_order


@pytest.mark.usefixtures("projections")
async def test_what_comes_in_between_moves_no_page(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    for minutes in range(4):
        await new_event(client, organiser, title=f"{minutes}", starts_at=instant(TOMORROW + timedelta(minutes=minutes)))
    first = (await client.get("/events?limit=2", headers=organiser.headers)).json()
    await new_event(client, organiser, title="earlier", starts_at=instant(TOMORROW - timedelta(minutes=1)))
    params = {"limit": 2, "cursor": first["next_cursor"]}
    second = (await client.get("/events", params=params, headers=organiser.headers)).json()
    assert [item["title"] for item in first["items"] + second["items"]] == ["0", "1", "2", "3"]


@pytest.mark.usefixtures("projections")
async def test_pages_for_you_go_on_from_one_place_to_the_next(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    reader = await new_account(city="Graz", state="Styria", country="Austria")
    places = [
        ("Linz", None, 0),
        ("Leoben", "Styria", 1),
        ("Graz", "Styria", 2),
        ("Graz", "Styria", 3),
        ("Wien", None, 4),
    ]
    for city, state, minutes in places:
        starts_at = instant(TOMORROW + timedelta(minutes=minutes))
        await new_event(
            client, reader, title=f"{city} {minutes}", city=city, state=state, country="Austria", starts_at=starts_at
        )
    for limit in (1, 2, 3):
        walked = await pages(client, "/events/for-you", reader, limit=limit)
        assert [len(page) for page in walked[:-1]] == [limit] * (len(walked) - 1)
        titles = [item["title"] for page in walked for item in page]
        assert titles == ["Graz 2", "Graz 3", "Leoben 1", "Linz 0", "Wien 4"]


@pytest.mark.usefixtures("projections")
async def test_every_reservation_is_on_one_page_newest_first(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer, total_tickets=5, max_per_buyer=5)
    reservations = [await reserved(client, buyer, event) for _ in range(5)]
    walked = await pages(client, "/reservations", buyer, limit=2, status="reserved")
    assert [len(page) for page in walked] == [2, 2, 1]
    assert [item for page in walked for item in page] == reservations[::-1]


async def test_an_empty_list_is_one_empty_page(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/events")).json() == {"items": [], "next_cursor": None}


async def test_a_page_has_1_to_200_items(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    headers = (await new_account()).headers
    for path in ("/events", "/events/for-you", "/reservations"):
        for limit in ("0", "-1", "201", "2.0", "1e2", "two", "", "9" * 30):
            response = await client.get(path, params={"limit": limit}, headers=headers)
            assert problem_of(response, 422, "invalid-request")["errors"][0]["path"] == "limit"


@pytest.mark.usefixtures("projections")
async def test_a_cursor_is_good_for_its_own_list_and_filters_only(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ada, bert = await new_account(), await new_account()
    event = await new_event(client, ada, total_tickets=5, max_per_buyer=5)
    await new_event(client, ada)
    for buyer in (ada, ada, bert, bert):
        await reserved(client, buyer, event)

    async def cursor_of(path: str, reader: LoggedIn) -> str:
        cursor: str = (await client.get(path, params={"limit": 1}, headers=reader.headers)).json()["next_cursor"]
        return cursor

    events, nearby = await cursor_of("/events", ada), await cursor_of("/events/for-you", ada)
    own, others = await cursor_of("/reservations", ada), await cursor_of("/reservations", bert)
    for path, cursor, filters in (
        ("/events", nearby, {}),
        ("/events", own, {}),
        ("/events", events, {"q": "concert"}),
        ("/events", events, {"starts_after": instant(TOMORROW)}),
        ("/events/for-you", events, {}),
        ("/reservations", events, {}),
        ("/reservations", others, {}),
        ("/reservations", own, {"status": "reserved"}),
        ("/reservations", own, {"event_id": event["id"]}),
        ("/reservations", own[:-5] + "AAAA=", {}),
        ("/reservations", "", {}),
        ("/reservations", "null", {}),
    ):
        response = await client.get(path, params={"cursor": cursor} | filters, headers=ada.headers)
        assert problem_of(response, 422, "invalid-request")["errors"][0]["path"] == "cursor"
    assert (await client.get("/reservations", params={"cursor": own}, headers=ada.headers)).status_code == 200


@given(st.datetimes(datetime(2000, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC)), st.uuids())  # noqa: DTZ001
def test_a_cursor_brings_back_the_place_it_was_given_for(at: datetime, event_id: UUID) -> None:
    shown, cursor = page_of([(at, event_id), (at, uuid4())], 1, FILTERS, lambda row: row)
    assert list(shown) == [(at, event_id)]
    assert after_cursor(cursor, FILTERS, tuple[datetime, UUID]) == (at, event_id)


@given(st.one_of(st.text(), st.text("ABCDwxyz019-_=", max_size=40)))
def test_no_text_but_a_cursor_is_taken_for_one(text: str) -> None:
    with pytest.raises(RequestValidationError):
        after_cursor(text, FILTERS, tuple[datetime, UUID])


@given(st.integers(0, 10**6), st.characters())
def test_a_cursor_with_another_character_in_it_is_refused(index: int, character: str) -> None:
    _, cursor = page_of([(TOMORROW, UUID(int=7)), (TOMORROW, UUID(int=8))], 1, FILTERS, lambda row: row)
    assert cursor is not None
    index %= len(cursor)
    changed = cursor[:index] + character + cursor[index + 1 :]
    if changed != cursor:
        with pytest.raises(RequestValidationError):
            after_cursor(changed, FILTERS, tuple[datetime, UUID])
