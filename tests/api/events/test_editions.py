"""Two who change one event over HTTP do not undo each other's work when they say what they have seen."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import UNKNOWN_ID, folding, new_event, pay, reserved


@pytest.fixture
def app(shared_app: FastAPI) -> FastAPI:
    """One for all tests here."""
    return shared_app


@pytest.fixture(scope="module", autouse=True)
async def _projections(shared_app: FastAPI) -> AsyncIterator[None]:
    async with folding(shared_app.state.services.config.box_office):
        yield


async def change(
    client: httpx2.AsyncClient, account: LoggedIn, event: dict[str, Any], if_match: str, **changes: Any
) -> httpx2.Response:
    headers = account.headers | {"If-Match": if_match}
    return await client.patch(f"/events/{event['id']}", json=changes, headers=headers)


async def cancel(
    client: httpx2.AsyncClient, account: LoggedIn, event: dict[str, Any], if_match: str, key: str | None = None
) -> httpx2.Response:
    headers = account.headers | {"If-Match": if_match} | ({"Idempotency-Key": key} if key else {})
    return await client.post(f"/events/{event['id']}/cancel", headers=headers)


async def read(client: httpx2.AsyncClient, event: dict[str, Any], answered: httpx2.Response) -> dict[str, Any]:
    position = answered.headers["tixxety-position"]
    shown: dict[str, Any] = (await client.get(f"/events/{event['id']}", params={"min_position": position})).json()
    return shown


async def test_a_change_makes_another_edition_which_every_answer_tells(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    assert event["edition"] == 1
    changed = await change(client, organiser, event, '"1"', city="Ghent")
    assert (changed.status_code, changed.json()["edition"]) == (200, 2)
    assert await read(client, event, changed) == changed.json()
    more = await change(client, organiser, event, "*", total_tickets=9, city="Bruges", max_per_buyer=2)
    assert more.json()["edition"] == 5
    assert await read(client, event, more) == more.json()


async def test_sales_are_in_nobodys_way(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser, buyer = await new_account(), await new_account()
    event = await new_event(client, organiser)
    paid = await pay(client, buyer, await reserved(client, buyer, event))
    assert (await read(client, event, paid))["edition"] == 1
    assert (await change(client, organiser, event, '"1"', city="Ghent")).status_code == 200


async def test_the_etag_of_an_answer_names_its_edition(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    """Also when tickets were sold since, which changes the ETag."""
    organiser, buyer = await new_account(), await new_account()
    event = await new_event(client, organiser)
    etag = (await client.get(f"/events/{event['id']}", headers=organiser.headers)).headers["etag"]
    await pay(client, buyer, await reserved(client, buyer, event))
    changed = await change(client, organiser, event, etag, city="Ghent")
    assert changed.status_code == 200
    problem_of(await change(client, organiser, event, etag, city="Lyon"), 412, "changed-meanwhile")
    path, position = f"/events/{event['id']}", changed.headers["tixxety-position"]
    later = (await client.get(path, params={"min_position": position})).headers["etag"]
    assert later.startswith(f'"{changed.json()["edition"]}-')
    assert (await cancel(client, organiser, event, later)).status_code == 200


async def test_what_was_meant_for_an_earlier_edition_is_refused(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    etag = (await client.get(f"/events/{event['id']}", headers=organiser.headers)).headers["etag"]
    await change(client, organiser, event, '"1"', description="by the first")
    for stale in ('"1"', 'W/"2"', '"stale"', etag):
        problem = problem_of(await change(client, organiser, event, stale, city="Lyon"), 412, "changed-meanwhile")
        assert problem["edition"] == 2
        problem_of(await cancel(client, organiser, event, stale), 412, "changed-meanwhile")
    answered = await change(client, organiser, event, '"2", "7"', city="Ghent")
    assert answered.json()["description"] == "by the first"
    assert (await cancel(client, organiser, event, '"3"')).json()["status"] == "cancelled"


async def test_of_many_at_once_that_saw_the_same_one_is_accepted(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    answers = await asyncio.gather(*(change(client, organiser, event, '"1"', city=f"City {n}") for n in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 11]


async def test_with_a_key_a_retry_is_answered_as_the_first_time(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    first = await cancel(client, organiser, event, '"1"', "off")
    again = await cancel(client, organiser, event, '"1"', "off")
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    problem_of(await cancel(client, organiser, event, '"1"'), 412, "changed-meanwhile")


async def test_a_header_that_is_no_list_of_tags_is_told(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    problem = problem_of(await change(client, organiser, event, "1", city="Ghent"), 422, "invalid-request")
    assert problem["errors"][0]["path"] == "If-Match"
    problem_of(await cancel(client, organiser, event, "1"), 422, "invalid-request")


async def test_what_is_not_there_and_what_is_anothers_is_told_first(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser, other = await new_account(), await new_account()
    event = await new_event(client, organiser)
    problem_of(await change(client, organiser, {"id": UNKNOWN_ID}, '"9"', city="Ghent"), 404, "event-not-found")
    problem_of(await change(client, other, event, '"9"', city="Ghent"), 403, "forbidden")
