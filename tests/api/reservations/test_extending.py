"""A hold is extended over HTTP: once, by what the organiser offers, and to the instant."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import (
    UNKNOWN_ID,
    cancel,
    count_recorded,
    folding,
    instant,
    new_event,
    pay,
    reserve,
    reserved,
)
from tests.settable_clock import Clock, settable_clock

NOON = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)


@pytest.fixture
async def clock(app: FastAPI) -> AsyncIterator[Clock]:
    """It is noon."""
    box_office = app.state.services.config.box_office
    async with folding(box_office), settable_clock(box_office) as clock:
        await clock.stand_at(NOON)
        yield clock


async def extend(
    client: httpx2.AsyncClient, buyer: LoggedIn, reservation: dict[str, Any], **more: Any
) -> httpx2.Response:
    key = more.pop("key", None)
    headers = buyer.headers | ({"Idempotency-Key": key} if key else {})
    return await client.post(f"/reservations/{reservation['id']}/extend", headers=headers, **more)


async def test_a_buyer_gets_more_time_and_reads_it_everywhere(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn, clock: Clock
) -> None:
    buyer, next_one = await new_account(), await new_account()
    event = await new_event(client, buyer, total_tickets=1, hold_seconds=60, hold_extension_seconds=30)
    assert event["hold_extension_seconds"] == 30
    reservation = await reserved(client, buyer, event)
    await clock.stand_at(NOON + timedelta(seconds=59))
    extended = await extend(client, buyer, reservation)
    ends_at, extended_at = instant(NOON + timedelta(seconds=90)), instant(NOON + timedelta(seconds=59))
    assert extended.status_code == 200
    assert extended.json() == reservation | {"hold_expires_at": ends_at, "extended_at": extended_at}
    path = f"/reservations/{reservation['id']}?min_position={extended.headers['tixxety-position']}"
    assert (await client.get(path, headers=buyer.headers)).json() == extended.json()
    listed = (await client.get("/reservations", headers=buyer.headers)).json()["items"]
    assert listed == [extended.json()]
    told = problem_of(await reserve(client, next_one, event), 409, "sold-out")
    assert told["next_hold_ends_at"] == ends_at
    await clock.stand_at(NOON + timedelta(seconds=89.999999))
    problem_of(await reserve(client, next_one, event), 409, "sold-out")
    await clock.stand_at(NOON + timedelta(seconds=90))
    problem_of(await extend(client, buyer, reservation), 409, "hold-expired")
    assert problem_of(await pay(client, buyer, reservation), 409, "hold-expired")["hold_expires_at"] == ends_at
    await reserved(client, next_one, event)
    assert await count_recorded(app, "ReservationExpired") == 1


async def test_it_is_paid_in_the_time_that_was_added(
    client: httpx2.AsyncClient, new_account: LogIn, clock: Clock
) -> None:
    buyer = await new_account()
    reservation = await reserved(
        client, buyer, await new_event(client, buyer, hold_seconds=60, hold_extension_seconds=30)
    )
    extended = (await extend(client, buyer, reservation)).json()
    await clock.stand_at(NOON + timedelta(seconds=75))
    paid = await pay(client, buyer, reservation)
    changes = {"status": "paid", "paid_at": instant(NOON + timedelta(seconds=75))}
    assert paid.json() == extended | changes
    refused = problem_of(await extend(client, buyer, reservation), 409, "not-extendable")
    assert refused["reservation_status"] == "paid"


async def test_asking_again_is_recorded_once(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn, clock: Clock
) -> None:
    buyer = await new_account()
    event = await new_event(client, buyer, hold_extension_seconds=30)
    reservation = await reserved(client, buyer, event)
    first = await extend(client, buyer, reservation, key="mine")
    again = [await extend(client, buyer, reservation), await extend(client, buyer, reservation, json={})]
    assert [(answer.status_code, answer.json()) for answer in again] == [(200, first.json())] * 2
    await pay(client, buyer, reservation)
    replayed = await extend(client, buyer, reservation, key="mine")
    assert (replayed.content, replayed.headers["idempotent-replayed"]) == (first.content, "true")
    assert await count_recorded(app, "HoldExtended") == await count_recorded(app, "ReservationExtended") == 1


async def test_what_is_not_offered_is_refused(client: httpx2.AsyncClient, new_account: LogIn, clock: Clock) -> None:
    buyer, somebody = await new_account(), await new_account()
    event = await new_event(client, buyer)
    reservation = await reserved(client, buyer, event)
    told = problem_of(await extend(client, buyer, reservation), 409, "extension-not-offered")
    assert told["hold_expires_at"] == reservation["hold_expires_at"]
    change = await client.patch(f"/events/{event['id']}", json={"hold_extension_seconds": 5}, headers=buyer.headers)
    assert change.json()["hold_extension_seconds"] == 5
    problem_of(await extend(client, somebody, reservation), 404, "not-found")
    problem_of(await extend(client, buyer, {"id": UNKNOWN_ID}), 404, "not-found")
    problem_of(await extend(client, buyer, reservation, json={"seconds": 60}), 422, "invalid-request")
    await cancel(client, buyer, "events", event)
    problem_of(await extend(client, buyer, reservation), 409, "event-cancelled")
