"""An organiser's programme and its buyers over HTTP: events to reserve, many accounts at once, and the projections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
from fastapi import FastAPI

from eventstore.postgres.connections import connect_as_owner
from projections.projector.projector import Projector
from tests.api.conftest import JWT_SECRET, LoggedIn
from tests.begun_sessions import BEGIN_SESSIONS, token_of

UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"
TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
REGISTER = """
INSERT INTO accounts (account_id, email, password_hash, name)
SELECT id, id || '@example.com', 'none', 'Somebody' FROM unnest(%(ids)s::uuid[]) AS id
"""
SET_ROLES = "UPDATE accounts SET roles = %(roles)s WHERE account_id = %(account_id)s"


def instant(at: datetime) -> str:
    """As the API writes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def event_body(**changes: Any) -> dict[str, Any]:
    """An event tomorrow evening with 2 free tickets; a change to None leaves the field out."""
    body = {
        "title": f"Concert {uuid4()}",
        "starts_at": instant(TOMORROW),
        "ends_at": instant(TOMORROW + timedelta(hours=3)),
        "total_tickets": None if "ticket_types" in changes else 2,
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def ticket_type(name: str, capacity: int = 10, amount_minor: int = 2500, currency: str = "EUR") -> dict[str, Any]:
    return {"name": name, "capacity": capacity, "amount_minor": amount_minor, "currency": currency}


async def new_event(client: httpx2.AsyncClient, organiser: LoggedIn, **changes: Any) -> dict[str, Any]:
    """The answer to creating an event that must be accepted."""
    response = await client.post("/events", json=event_body(**changes), headers=organiser.headers)
    assert response.status_code == 201, response.text
    event: dict[str, Any] = response.json()
    return event


async def short_event(
    client: httpx2.AsyncClient, organiser: LoggedIn, begins_in_seconds: int = 1, **changes: Any
) -> dict[str, Any]:
    """An event that begins so soon, or if that can't be managed later, and is over a tenth of a second after that."""
    for seconds in (begins_in_seconds, 3 * begins_in_seconds, 9 * begins_in_seconds):
        now = datetime.fromisoformat((await new_event(client, organiser))["created_at"])
        times = {
            "starts_at": instant(now + timedelta(seconds=seconds)),
            "ends_at": instant(now + timedelta(seconds=seconds + 0.1)),
        }
        response = await client.post("/events", json=event_body(**times, **changes), headers=organiser.headers)
        if response.status_code == 201:
            event: dict[str, Any] = response.json()
            return event
    raise AssertionError(f"too slow for a short event: {response.text}")


async def reserve(client: httpx2.AsyncClient, buyer: LoggedIn, event: dict[str, Any], **more: Any) -> httpx2.Response:
    """Ask for a ticket; `key` becomes the Idempotency-Key."""
    key = more.pop("key", None)
    headers = buyer.headers | ({"Idempotency-Key": key} if key else {})
    return await client.post("/reservations", json={"event_id": event["id"], **more}, headers=headers)


async def reserved(client: httpx2.AsyncClient, buyer: LoggedIn, event: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The answer to a reservation that must be accepted."""
    response = await reserve(client, buyer, event, **more)
    assert response.status_code == 201, response.text
    reservation: dict[str, Any] = response.json()
    return reservation


async def pay(
    client: httpx2.AsyncClient, buyer: LoggedIn, reservation: dict[str, Any], reference: str | None = None
) -> httpx2.Response:
    body = None if reference is None else {"payment_reference": reference}
    return await client.post(f"/reservations/{reservation['id']}/pay", json=body, headers=buyer.headers)


async def cancel(client: httpx2.AsyncClient, account: LoggedIn, what: str, thing: dict[str, Any]) -> httpx2.Response:
    """Cancel one of the "events" or "reservations"."""
    return await client.post(f"/{what}/{thing['id']}/cancel", headers=account.headers)


async def crowd(app: FastAPI, count: int) -> list[LoggedIn]:
    """So many accounts with tokens, made without hashing passwords."""
    ids = [uuid4() for _ in range(count)]
    async with app.state.services.pool.connection() as connection:
        await connection.execute(REGISTER, {"ids": ids})
        await connection.execute(BEGIN_SESSIONS, {"ids": ids})
    return [LoggedIn(str(i), f"{i}@example.com", token_of(JWT_SECRET, i)) for i in ids]


async def an_auditor(app: FastAPI, role: str = "auditor") -> LoggedIn:
    """An account that has the role."""
    (account,) = await crowd(app, 1)
    await set_roles(app, account, role)
    return account


async def set_roles(app: FastAPI, account: LoggedIn, *roles: str) -> None:
    """The account has these roles from now on, and no other."""
    async with await connect_as_owner(app.state.services.config.box_office) as owner:
        await owner.execute(SET_ROLES, {"account_id": account.id, "roles": list(roles)})


async def count_recorded(app: FastAPI, kind: str) -> int:
    """How many domain events of one type the history has."""
    async with app.state.services.pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM history WHERE type = %(kind)s", {"kind": kind})
        [(count,)] = await cursor.fetchall()
        return int(count)


async def until(app: FastAPI, at: str) -> None:
    """Wait until the database's clock has come to an instant that is at most seconds away."""
    async with app.state.services.pool.connection() as connection:
        for _ in range(1_000):
            cursor = await connection.execute("SELECT clock_timestamp() >= %(at)s::timestamptz", {"at": at})
            if await cursor.fetchall() == [(True,)]:
                return
            await asyncio.sleep(0.01)
    raise AssertionError(f"it is not {at} yet")


@contextlib.asynccontextmanager
async def folding(database_url: str) -> AsyncIterator[None]:
    """The projections follow the history for as long as this lasts."""
    running = asyncio.create_task(Projector(database_url).run())
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
