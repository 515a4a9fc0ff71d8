"""A reservation with a further domain event of its own is ended without a conflict, by whoever ends it."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest

from domain.commands import ReserveTickets
from domain.domain_event import DomainEvent
from eventstore import snapshots
from eventstore.postgres.connections import Connection
from eventstore.writing.aggregate_cache import load
from eventstore.writing.group_commit import GroupCommit
from tests import box_office
from tests.domain.later_domain_events import HoldAnnotated, ReservationAnnotated
from tests.projections.histories import append

CLOCK_HAS_PASSED = "SELECT clock_timestamp() > %(at)s"
ANNOTATED = ["ReservationPlaced", "ReservationAnnotated"]


class Held(NamedTuple):
    """All tickets of an event, held by a reservation with a second domain event."""

    wish: ReserveTickets
    hold_expires_at: datetime


async def hold_all(connection: Connection, commands: GroupCommit, hold_seconds: int) -> Held:
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser, capacity=1, hold_seconds=hold_seconds)
    await commands.submit(event)
    wish = box_office.reserve(event.event_id, buyer)
    placed = box_office.reservation(await commands.submit(wish)).placed
    await append(connection, [annotated(wish, placed.timestamp)])
    return Held(wish, placed.hold_expires_at)


def annotated(wish: ReserveTickets, at: datetime) -> tuple[DomainEvent, ...]:
    def about(stream_id: UUID, version: int) -> dict[str, Any]:
        return {
            "originator_id": stream_id,
            "originator_version": version,
            "timestamp": at,
            "actor_id": wish.actor_id,
            "request_id": request_id,
        }

    request_id = uuid4()
    return (
        HoldAnnotated(**about(wish.event_id, 3), reservation_id=wish.reservation_id, reservation_version=2),
        ReservationAnnotated(**about(wish.reservation_id, 2), event_id=wish.event_id, wish="by the aisle"),
    )


async def types(connection: Connection, held: Held) -> list[str]:
    return (await box_office.judged_history(connection)).types(held.wish.reservation_id)


async def until_due(connection: Connection, held: Held) -> None:
    await box_office.until(lambda: box_office.only(connection, CLOCK_HAS_PASSED, at=held.hold_expires_at))


async def test_it_is_paid_and_cancelled(connection: Connection, commands: GroupCommit) -> None:
    held = await hold_all(connection, commands, 120)
    await commands.submit(box_office.pay(held.wish))
    await commands.submit(box_office.cancel(held.wish))
    assert await types(connection, held) == [*ANNOTATED, "ReservationPaid", "ReservationCancelled"]


async def test_it_expires(connection: Connection, commands: GroupCommit) -> None:
    held = await hold_all(connection, commands, 1)
    await until_due(connection, held)
    await commands.submit(box_office.expire(held.wish))
    assert await types(connection, held) == [*ANNOTATED, "ReservationExpired"]


@pytest.mark.parametrize("from_snapshot", [False, True])
async def test_another_buyer_takes_it_back(
    database_url: str, connection: Connection, worker: Connection, commands: GroupCommit, *, from_snapshot: bool
) -> None:
    held = await hold_all(connection, commands, 1)
    event_id = held.wish.event_id
    if from_snapshot:
        event = await load(worker, event_id)
        assert event
        await snapshots.keep(worker, event, 1)
    await until_due(connection, held)
    (buyer,) = await box_office.register(connection, 1)
    async with GroupCommit(database_url) as process:
        await process.submit(box_office.reserve(event_id, buyer))
    assert await types(connection, held) == [*ANNOTATED, "ReservationExpired"]
