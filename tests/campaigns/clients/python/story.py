"""The README's story, told by the client that openapi-python-client made of the document."""

import asyncio
import os
import secrets
import sys
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TypeVar

from tixxety_client import AuthenticatedClient, Client
from tixxety_client.api.accounts import log_in, register
from tixxety_client.api.events import create_event
from tixxety_client.api.reservations import pay_reservation, read_reservation, reserve
from tixxety_client.models import (
    EventAnswer,
    LogInForm,
    NewEvent,
    NewReservation,
    Registration,
    ReservationAnswer,
    SoldOutProblem,
    TokenAnswer,
)

SECONDS_MAX = 60
API = os.environ.get("API", "http://127.0.0.1:8000")
HOLD_SECONDS = int(os.environ.get("HOLD_SECONDS", "120"))
SUFFIX = secrets.token_hex(4)
PASSWORD = "correct horse battery"

anybody = Client(API)
Answer = TypeVar("Answer")


def said(kind: type[Answer], answer: object) -> Answer:
    """What was answered, if it is what was hoped for."""
    assert isinstance(answer, kind), answer
    return answer


async def account(name: str) -> AuthenticatedClient:
    """Somebody with a token."""
    email = f"{name}-{SUFFIX}@example.com"
    registered = await register.asyncio_detailed(
        client=anybody, body=Registration(email=email, password=PASSWORD, name=name)
    )
    assert registered.status_code == HTTPStatus.CREATED
    answer = await log_in.asyncio(client=anybody, body=LogInForm(username=email, password=PASSWORD))
    return AuthenticatedClient(API, token=said(TokenAnswer, answer).access_token)


def in_days(days: int) -> datetime:
    """An instant so many days from now."""
    return datetime.now(UTC) + timedelta(days=days)


async def tell() -> None:
    """Play it, and print what the README says."""
    olga, ann, ben, cleo = [await account(name) for name in ("olga", "ann", "ben", "cleo")]
    new = NewEvent(
        title=f"Midsummer concert {SUFFIX}",
        starts_at=in_days(30),
        ends_at=in_days(31),
        city="Riga",
        total_tickets=2,
        hold_seconds=HOLD_SECONDS,
    )
    event = said(EventAnswer, await create_event.asyncio(client=olga, body=new))
    wish = NewReservation(event_id=event.id)
    anns = said(ReservationAnswer, await reserve.asyncio(client=ann, body=wish))
    bens = said(ReservationAnswer, await reserve.asyncio(client=ben, body=wish))

    refused = said(SoldOutProblem, await reserve.asyncio(client=cleo, body=wish))
    assert refused.available == 0
    sys.stdout.write(f"Cleo is refused: {refused.type_}\n")

    paid = said(ReservationAnswer, await pay_reservation.asyncio(anns.id, client=ann))
    sys.stdout.write(f"Ann has paid: {paid.status}\n")

    sys.stdout.write(f"Ben does nothing for {HOLD_SECONDS} seconds ...\n")
    end = time.monotonic() + HOLD_SECONDS + SECONDS_MAX
    while bens.status == "reserved" and time.monotonic() < end:
        await asyncio.sleep(0.2)
        bens = said(ReservationAnswer, await read_reservation.asyncio(bens.id, client=ben))
    sys.stdout.write(f"Ben was too late: {bens.status}\n")

    gets = said(ReservationAnswer, await reserve.asyncio(client=cleo, body=wish))
    sys.stdout.write(f"Cleo gets the ticket: {gets.status}\n")


if __name__ == "__main__":
    asyncio.run(tell())
