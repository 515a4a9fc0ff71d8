"""An ordinary FastAPI route that stores nothing: a dependency, PyJWT, a pydantic body and a response model."""

import os
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID, uuid4

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, Field

HOLD_SECONDS = 120

app = FastAPI()
bearer = OAuth2PasswordBearer("/auth/login")
secret = os.environ["JWT_SECRET"]


async def buyer_of(token: Annotated[str, Depends(bearer)]) -> UUID:
    """The account that asks."""
    try:
        claims = jwt.decode(token, secret, algorithms=["HS256"], audience="tixxety", issuer="tixxety")
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "Not authenticated") from error
    return UUID(claims["sub"])


Buyer = Annotated[UUID, Depends(buyer_of)]


class NewReservation(BaseModel):
    """What is asked for."""

    event_id: UUID
    quantity: Annotated[int, Field(ge=1, le=10_000)] = 1


class Reservation(BaseModel):
    """What is answered."""

    id: UUID
    event_id: UUID
    buyer_id: UUID
    quantity: int
    status: str
    amount_minor: int
    currency: str
    placed_at: datetime
    hold_expires_at: datetime


def placed(new: NewReservation, buyer_id: UUID) -> Reservation:
    """The reservation that the buyer gets."""
    now = datetime.now(UTC)
    return Reservation(
        id=uuid4(),
        event_id=new.event_id,
        buyer_id=buyer_id,
        quantity=new.quantity,
        status="reserved",
        amount_minor=0,
        currency="XXX",
        placed_at=now,
        hold_expires_at=now + timedelta(seconds=HOLD_SECONDS),
    )


@app.post("/reservations", status_code=201)
async def reserve(new: NewReservation, buyer_id: Buyer) -> Reservation:
    """Answers as if it had stored something."""
    return placed(new, buyer_id)


@app.get("/health/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}
