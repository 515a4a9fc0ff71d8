"""The history refuses UPDATE, DELETE and TRUNCATE: by privilege to who serves, by trigger to everybody."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, RestrictViolation

from eventstore.postgres.connections import Connection
from eventstore.writing.group_commit import GroupCommit
from tests import box_office

CHANGES = (
    "UPDATE stored_events SET topic = 'x'",
    "UPDATE stored_events SET topic = 'x' WHERE false",
    "DELETE FROM stored_events",
    "DELETE FROM stored_events WHERE false",
    "TRUNCATE stored_events",
    "TRUNCATE event_names, stored_events",
    "DELETE FROM history",
    "INSERT INTO stored_events TABLE stored_events ON CONFLICT (notification_id) DO UPDATE SET topic = 'x'",
    "MERGE INTO stored_events s USING accounts ON account_id = originator_id WHEN MATCHED THEN DELETE",
)
WAYS_AROUND = (
    "ALTER TABLE stored_events DISABLE TRIGGER append_only",
    "DROP TRIGGER append_only ON stored_events",
    "DROP TABLE stored_events CASCADE",
    "ALTER TABLE stored_events RENAME TO other",
    "CREATE TABLE stored_event (x int)",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "SET session_replication_role = replica",
    "UPDATE schema_version SET version = 2",
)
ALL_ROWS = "SELECT * FROM stored_events ORDER BY notification_id"


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[Connection]:
    """Who made the schema, and may do anything."""
    connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    async with connection:
        await connection.execute("SET search_path = tixxety, projections")
        yield connection


@pytest.fixture
async def recorded(connection: Connection, commands: GroupCommit) -> list[object]:
    """Three rows: an event, and a reservation in both streams."""
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser)
    await commands.submit(event)
    await commands.submit(box_office.reserve(event.event_id, buyer))
    rows = await (await connection.execute(ALL_ROWS)).fetchall()
    assert len(rows) == 3
    return list(rows)


async def test_who_serves_has_no_right_to_change_it(connection: Connection, recorded: list[object]) -> None:
    for change in CHANGES:
        with refused(InsufficientPrivilege, change):
            await connection.execute(change)
    assert await (await connection.execute(ALL_ROWS)).fetchall() == recorded


async def test_even_its_owner_is_stopped_by_the_trigger(owner: Connection, recorded: list[object]) -> None:
    for change in CHANGES:
        with refused(RestrictViolation, change):
            await owner.execute(change)
    assert await (await owner.execute(ALL_ROWS)).fetchall() == recorded


async def test_an_empty_history_refuses_as_well(owner: Connection) -> None:
    for change in CHANGES:
        with refused(RestrictViolation, change):
            await owner.execute(change)


async def test_who_serves_has_no_way_around(connection: Connection) -> None:
    for way_around in WAYS_AROUND:
        with refused(InsufficientPrivilege, way_around):
            await connection.execute(way_around)


@contextmanager
def refused(error: type[psycopg.Error], statement: str) -> Iterator[None]:
    """The database refuses what is in the block, for this reason and no other."""
    try:
        yield
    except error:
        return
    pytest.fail(f"not refused: {statement}")


async def test_people_read_the_history_in_a_view(connection: Connection, commands: GroupCommit) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser, title="Nuit d'été")
    reserved = box_office.reserve(event.event_id, buyer)
    await commands.submit(event)
    await commands.submit(reserved)
    query = "SELECT position, stream, version, type FROM history ORDER BY position"
    assert await (await connection.execute(query)).fetchall() == [
        (1, event.event_id, 1, "EventCreated"),
        (2, event.event_id, 2, "TicketsHeld"),
        (3, reserved.reservation_id, 1, "ReservationPlaced"),
    ]
    title = "SELECT state #>> '{details,title}' FROM history WHERE type = 'EventCreated'"
    assert await box_office.only(connection, title) == "Nuit d'été"
    buyers = "SELECT count(DISTINCT state ->> 'buyer_id') FROM history WHERE state ->> 'buyer_id' = %(buyer)s"
    assert await box_office.only(connection, buyers, buyer=str(buyer)) == 1


async def test_the_view_tells_when_each_was_recorded(connection: Connection, commands: GroupCommit) -> None:
    (organiser,) = await box_office.register(connection, 1)
    before = await box_office.only(connection, "SELECT clock_timestamp()")
    await commands.submit(box_office.create(organiser))
    after = await box_office.only(connection, "SELECT clock_timestamp()")
    assert before < await box_office.only(connection, "SELECT recorded_at FROM history") < after
