"""Our own API with only the store taken out: every command is answered at once, and nothing is decided or recorded."""

import dataclasses
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from fastapi import FastAPI

from api.app import ApiConfig
from api.app import create_app as create_api
from api.express_lane import ExpressLane
from domain.commands import Command, ReserveTickets
from domain.reservation import ReservationPlaced, ReservationRecord
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome

TICKET_TYPE_ID = UUID(int=7)


class NothingRecorded:
    """Stands where `GroupCommit` does."""

    async def submit(self, command: Command) -> Outcome:
        """The answer that a reservation gets."""
        assert isinstance(command, ReserveTickets)
        now = datetime.now(UTC)
        placed = ReservationPlaced(
            originator_id=command.reservation_id,
            originator_version=1,
            timestamp=now,
            actor_id=command.actor_id,
            request_id=command.request_id,
            event_id=command.event_id,
            ticket_type_id=TICKET_TYPE_ID,
            buyer_id=command.actor.account_id,
            quantity=command.quantity,
            amount_minor=0,
            currency="XXX",
            hold_expires_at=now + timedelta(seconds=120),
        )
        return Outcome(ReservationRecord(placed), 1, replayed=False, decided_at=placed.timestamp)


def create_app() -> ExpressLane:
    """The application."""
    app = create_api(ApiConfig(os.environ["DATABASE_URL"], os.environ["JWT_SECRET"], rate_limits=False))
    with_the_store = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with with_the_store(app) as state:
            without: Any = NothingRecorded()
            app.state.services = dataclasses.replace(app.state.services, commands=cast(GroupCommit, without))
            yield state

    app.router.lifespan_context = lifespan
    return ExpressLane(app)
