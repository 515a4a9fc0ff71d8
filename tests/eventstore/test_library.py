"""The eventsourcing library's own Application reads our table, with our mapper."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import pytest
from eventsourcing.application import AggregateNotFoundError, Application

from domain.reservation import Reservation
from domain.ticketed_event import TicketedEvent
from eventstore.postgres.connections import Connection
from eventstore.reading import read_after
from eventstore.writing.aggregate_cache import load
from eventstore.writing.group_commit import GroupCommit
from tests import box_office
from tests.domain.given_when_then import snapshot


class Stored(Application[UUID]):
    """Its name gives the table's: stored_events."""

    name = "stored"


@contextmanager
def library(database_url: str) -> Iterator[Any]:
    """The application, configured as its documentation says; it makes no table of its own."""
    parts = urlsplit(database_url)
    settings = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.removeprefix("/"),
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": unquote(parts.username or ""),
        "POSTGRES_PASSWORD": unquote(parts.password or "-"),
        "POSTGRES_SCHEMA": "tixxety",
        "MAPPER_TOPIC": "tests.eventstore.library_mapper:HistoryMapper",
        "CREATE_TABLE": "n",
    }
    with Stored(settings) as application:
        yield application


async def sell(connection: Connection, commands: GroupCommit) -> tuple[UUID, list[UUID]]:
    """An event that was changed, and three reservations: paid, cancelled, held."""
    organiser, *buyers = await box_office.register(connection, 4)
    event = box_office.create(organiser, max_per_buyer=2)
    await commands.submit(event)
    wishes = [box_office.reserve(event.event_id, buyer, quantity=2) for buyer in buyers]
    await box_office.submit_all(commands, wishes)
    await commands.submit(box_office.pay(wishes[0], "r1"))
    await commands.submit(box_office.cancel(wishes[1]))
    await commands.submit(box_office.change(event.event_id, organiser, total_tickets=50, city="Ghent"))
    return event.event_id, [wish.reservation_id for wish in wishes]


async def test_its_repository_folds_the_state_that_we_have(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    event_id, reservation_ids = await sell(connection, commands)
    told = await box_office.judged_history(connection)
    with library(database_url) as application:
        event = application.repository.get(event_id)
        assert isinstance(event, TicketedEvent)
        assert snapshot(event) == snapshot(await load(connection, event_id))
        for reservation_id, status in zip(reservation_ids, ("paid", "cancelled", "reserved"), strict=True):
            reservation = application.repository.get(reservation_id)
            assert isinstance(reservation, Reservation)
            assert reservation.status == status
            assert reservation.version == len(told.streams[reservation_id])
        before = application.repository.get(event_id, version=1)
        assert before.version == 1
        assert before.record.stock[0].capacity == 100
        with pytest.raises(AggregateNotFoundError):
            application.repository.get(UUID(int=1))


async def test_its_notification_log_is_the_history(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    await sell(connection, commands)
    ours = await read_after(connection, 0, 1_000)
    with library(database_url) as application:
        assert application.recorder.max_notification_id() == len(ours)
        theirs = application.recorder.select_notifications(start=1, limit=1_000)
        assert [notification.id for notification in theirs] == [record.position for record in ours]
        assert [application.mapper.to_domain_event(n) for n in theirs] == [record.domain_event for record in ours]
        tail = application.notification_log.select(start=len(ours) - 1, limit=10)
        assert [notification.id for notification in tail] == [len(ours) - 1, len(ours)]


async def test_its_event_store_reads_one_stream(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    event_id, _ = await sell(connection, commands)
    told = await box_office.judged_history(connection)
    with library(database_url) as application:
        assert list(application.events.get(event_id)) == told.streams[event_id]
        assert list(application.events.get(event_id, gt=2, lte=4)) == told.streams[event_id][2:4]
