"""Events are in the time zone of their place, and answers tell what a clock there shows."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import an_auditor, event_body, folding, new_event

IN_RIGA = {
    "starts_at": "2031-03-30T00:30:00Z",
    "ends_at": "2031-03-30T02:30:00Z",
    "sales_open_at": "2031-01-01T10:00:00Z",
    "time_zone": "Europe/Riga",
}
# The clock goes from 3 to 4 in the night of this event.
ON_A_CLOCK = {
    "starts_at_local": "2031-03-30T02:30:00+02:00",
    "ends_at_local": "2031-03-30T05:30:00+03:00",
    "sales_open_at_local": "2031-01-01T12:00:00+02:00",
    "sales_close_at_local": None,
}


@pytest.fixture(autouse=True)
async def projections(database_url: str) -> AsyncIterator[None]:
    async with folding(database_url):
        yield


async def change(client: httpx2.AsyncClient, account: LoggedIn, event: dict[str, Any], **changes: Any) -> Any:
    return await client.patch(f"/events/{event['id']}", json=changes, headers=account.headers)


async def test_whoever_reads_an_event_is_told_the_time_at_its_place(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, **IN_RIGA)
    assert event.items() >= (IN_RIGA | ON_A_CLOCK).items()
    read = await client.get(f"/events/{event['id']}", headers=organiser.headers)
    assert read.json() == event
    [listed] = (await client.get("/events", headers=organiser.headers)).json()["items"]
    assert listed.items() >= (IN_RIGA | ON_A_CLOCK).items()


async def test_another_time_zone_moves_no_instant_and_null_restores_utc(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, **IN_RIGA)
    moved = (await change(client, organiser, event, time_zone="America/New_York")).json()
    assert (moved["time_zone"], moved["starts_at"]) == ("America/New_York", event["starts_at"])
    assert moved["starts_at_local"] == "2031-03-29T20:30:00-04:00"
    restored = (await change(client, organiser, event, time_zone=None)).json()
    assert (restored["time_zone"], restored["starts_at_local"]) == ("UTC", "2031-03-30T00:30:00+00:00")


async def test_an_older_name_becomes_todays(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    event = await new_event(client, await new_account(), time_zone="Asia/Calcutta")
    assert event["time_zone"] == "Asia/Kolkata"


@pytest.mark.parametrize("name", ["", "Riga", "europe/riga", "+03:00", "Europe/Riga ", "../etc/passwd", "Factory", 3])
async def test_what_is_no_time_zone_is_refused(client: httpx2.AsyncClient, new_account: LogIn, name: Any) -> None:
    organiser = await new_account()
    refused = await client.post("/events", json=event_body(time_zone=name), headers=organiser.headers)
    assert problem_of(refused, 422, "invalid-request")["errors"][0]["path"] == "time_zone"


async def test_auditors_see_in_which_time_zone_it_was(app: Any, client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser, auditor = await new_account(), await an_auditor(app)
    created = await client.post("/events", json=event_body(**IN_RIGA), headers=organiser.headers)
    event, position = created.json(), created.headers["tixxety-position"]
    await change(client, organiser, event, time_zone="Europe/London")
    address = f"/audit/events/{event['id']}/as-of?position={position}"
    was = (await client.get(address, headers=auditor.headers)).json()["event"]
    assert was.items() >= (IN_RIGA | ON_A_CLOCK).items()
