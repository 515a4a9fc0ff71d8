"""A good CRUD version: FastAPI and asyncpg, one row per event that counts, one statement for a reservation."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

from bench.baselines.bare_fastapi import Buyer, NewReservation, Reservation, live

# The best of 2, 3, 5, 10 and 20 on two cores; more of them only wait for the same row.
POOL_CONNECTIONS = int(os.environ.get("CRUD_POOL_CONNECTIONS", "5"))

RESERVE = """
WITH taken AS (
    UPDATE events SET sold = sold + $4 WHERE id = $2 AND sold + $4 <= total RETURNING id
)
INSERT INTO reservations (id, event_id, buyer_id, quantity, placed_at, hold_expires_at)
SELECT $1, id, $3, $4, now(), now() + interval '120 seconds' FROM taken
RETURNING id, event_id, buyer_id, quantity, status, 0 AS amount_minor, 'XXX' AS currency, placed_at, hold_expires_at
"""
PAY = """
UPDATE reservations SET status = 'paid', paid_at = now()
WHERE id = $1 AND buyer_id = $2 AND (status = 'paid' OR status = 'reserved' AND hold_expires_at > now())
RETURNING id, event_id, buyer_id, quantity, status, 0 AS amount_minor, 'XXX' AS currency, placed_at, hold_expires_at
"""
EVENT = "SELECT id, title, starts_at, total, sold, total - sold AS available FROM events WHERE id = $1"
EVENTS = (
    "SELECT id, title, starts_at, total, sold, total - sold AS available FROM events ORDER BY starts_at, id LIMIT 50"
)
RESERVATIONS = """
SELECT id, event_id, buyer_id, quantity, status, 0 AS amount_minor, 'XXX' AS currency, placed_at, hold_expires_at
FROM reservations WHERE buyer_id = $1 ORDER BY placed_at DESC, id DESC LIMIT 50
"""
RESERVATION = """
SELECT id, event_id, buyer_id, quantity, status, 0 AS amount_minor, 'XXX' AS currency, placed_at, hold_expires_at
FROM reservations WHERE id = $1 AND buyer_id = $2
"""


class ListedEvent(BaseModel):
    """What the catalogue shows."""

    id: UUID
    title: str
    starts_at: datetime
    total: int
    sold: int
    available: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The pool lives as long as the process."""
    # asyncpg takes libpq's own parameters for settings of the session.
    database_url = urlsplit(os.environ["DATABASE_URL"])._replace(query="").geturl()
    async with asyncpg.create_pool(database_url, min_size=1, max_size=POOL_CONNECTIONS) as pool:
        app.state.pool = pool
        yield


async def pool_of(request: Request) -> asyncpg.Pool:
    """The process's pool."""
    pool: asyncpg.Pool = request.app.state.pool
    return pool


Pool = Annotated[asyncpg.Pool, Depends(pool_of)]

app = FastAPI(lifespan=lifespan)
app.get("/health/live")(live)


@app.post("/reservations", status_code=201)
async def reserve(new: NewReservation, buyer_id: Buyer, pool: Pool) -> Reservation:
    """One ticket or more, unless too few are left or the buyer has one already."""
    try:
        row = await pool.fetchrow(RESERVE, uuid4(), new.event_id, buyer_id, new.quantity)
    except asyncpg.UniqueViolationError as error:
        raise HTTPException(409, "One reservation per buyer") from error
    if row is None:
        raise HTTPException(409, "Sold out")
    return Reservation(**row)


@app.post("/reservations/{reservation_id}/pay")
async def pay(reservation_id: UUID, buyer_id: Buyer, pool: Pool) -> Reservation:
    """Pay in time; paying again is the same answer."""
    row = await pool.fetchrow(PAY, reservation_id, buyer_id)
    if row is None:
        raise HTTPException(409, "Not payable")
    return Reservation(**row)


@app.get("/events/{event_id}")
async def read_event(event_id: UUID, pool: Pool) -> ListedEvent:
    """One event and how many tickets are left."""
    row = await pool.fetchrow(EVENT, event_id)
    if row is None:
        raise HTTPException(404, "No such event")
    return ListedEvent(**row)


@app.get("/events")
async def list_events(pool: Pool) -> list[ListedEvent]:
    """The first page of the catalogue."""
    return [ListedEvent(**row) for row in await pool.fetch(EVENTS)]


@app.get("/reservations")
async def list_reservations(buyer_id: Buyer, pool: Pool) -> list[Reservation]:
    """One's own, newest first."""
    return [Reservation(**row) for row in await pool.fetch(RESERVATIONS, buyer_id)]


@app.get("/reservations/{reservation_id}")
async def read_reservation(reservation_id: UUID, buyer_id: Buyer, pool: Pool) -> Reservation:
    """One of one's own."""
    row = await pool.fetchrow(RESERVATION, reservation_id, buyer_id)
    if row is None:
        raise HTTPException(404, "No such reservation")
    return Reservation(**row)
