"""Searching for words holds up nobody else, and no page is wider than a client wants to read."""

import asyncio
from collections import Counter
from uuid import uuid4

import httpx2
import psycopg
import pytest

from api.app import ApiConfig
from api.http.cursors import LARGEST_PAGE_BYTES
from api.plumbing import search_limits
from projections.text_keys import pieces
from tests.api.conftest import LogIn, problem_of

# Each letter of the description begins a match that fails at its end.
SLOW = "a" * 198 + "b"
FOUND_BY = """
INSERT INTO event_search (event_id, search_text, pieces, position)
SELECT event_id, lower(title || chr(10) || description), %(pieces)s::integer[], position FROM events
"""
INSERT = """
INSERT INTO events (event_id, organiser_id, title, description, time_zone, starts_at, ends_at, max_per_buyer,
                    hold_seconds, hold_extension_seconds, status, created_at, changed_at, edition, position)
SELECT gen_random_uuid(), gen_random_uuid(), 'Concert ' || n, repeat(%(letter)s, 10000), 'UTC',
       now() + make_interval(mins => n + 60), now() + make_interval(mins => n + 120), 1, 120, 0, 'scheduled',
       now(), now(), 1, n
FROM generate_series(1, %(count)s) AS n
"""


@pytest.fixture
def config(config: ApiConfig, monkeypatch: pytest.MonkeyPatch) -> ApiConfig:
    """Searches of a second, so that the test need not wait."""
    monkeypatch.setattr(search_limits, "SECONDS_MAX", 1)
    return config


def list_events(database_url: str, count: int, letter: str) -> None:
    """Put events into the catalogue that were never created, each with the longest description there may be."""
    with psycopg.connect(database_url, options="-c search_path=projections") as connection:
        connection.execute(INSERT, {"count": count, "letter": letter})
        connection.execute(FOUND_BY, {"pieces": pieces([SLOW, "concert", *map(str, range(count + 1))])})


async def test_a_search_that_takes_too_long_is_ended_with_a_problem_of_its_own(
    client: httpx2.AsyncClient, database_url: str
) -> None:
    list_events(database_url, 1_000, "a")
    answered = await client.get("/events", params={"q": SLOW})
    problem = problem_of(answered, 503, "search-too-slow")
    assert answered.headers["retry-after"] == str(problem["retry_after_seconds"])
    found = await client.get("/events", params={"q": "concert 7", "limit": 1})
    assert found.json()["items"][0]["title"] == "Concert 7"


async def test_however_many_search_everybody_else_is_answered(
    client: httpx2.AsyncClient, database_url: str, new_account: LogIn
) -> None:
    ada = await new_account()
    list_events(database_url, 1_000, "a")
    searching = [asyncio.create_task(client.get("/events", params={"q": SLOW})) for _ in range(60)]
    await asyncio.sleep(0)
    while not all(search.done() for search in searching):
        for path in ("/events?limit=1", "/reservations", "/events/for-you?limit=1", f"/events/{uuid4()}"):
            answered = await client.get(path, headers=ada.headers)
            assert answered.status_code in (200, 404), answered.text
    told = Counter(search.result().json()["type"] for search in searching)
    assert told.keys() == {"/problems/search-too-slow", "/problems/overloaded"}


@pytest.mark.parametrize("path", ["/events", "/events/for-you"])
async def test_a_page_ends_before_it_is_too_wide_and_the_next_goes_on(
    client: httpx2.AsyncClient, database_url: str, new_account: LogIn, path: str
) -> None:
    ada = await new_account()
    list_events(database_url, 60, "𝄞")
    titles, cursor = [], {}
    for _ in range(60):
        answered = await client.get(
            path, params={"limit": 200, "with_description": "true", **cursor}, headers=ada.headers
        )
        assert answered.status_code == 200, answered.text
        assert len(answered.content) < LARGEST_PAGE_BYTES + 100_000
        titles += [item["title"] for item in answered.json()["items"]]
        if answered.json()["next_cursor"] is None:
            break
        cursor = {"cursor": answered.json()["next_cursor"]}
    assert titles == [f"Concert {n}" for n in range(1, 61)]
