"""A domain event that can't be folded stops the projector, by name, with all before it folded and nothing after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
import pytest
from structlog.testing import capture_logs

from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from projections import checkpoint
from projections.projector.projector import Projector
from projections.queries import reservations_queries
from tests.projections.histories import BoxOffice, Command, append
from tests.projections.independent_fold import expected_of, shown_by
from tests.projections.waiting import running, until, until_folded

STORE = """
INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, command_position)
VALUES (%s, %s, %s, %s, %s, %s)
"""
SET_TOPIC = "UPDATE stored_events SET topic = %(topic)s WHERE notification_id = %(position)s"
STRANGER = UUID(int=0xBAD)
NO_STATE = b'{"timestamp": "2035-06-01T12:00:00Z", "actor_id": "system", "request_id": "' + str(STRANGER).encode()
PAID = NO_STATE + b'", "event_id": "' + str(STRANGER).encode() + b'", "amount_minor": 1, "currency": "EUR"}'


async def test_an_unknown_topic_stops_the_projector(database_url: str) -> None:
    await failure_at(database_url, "TicketsPainted", b"{}")


async def test_a_state_that_is_no_json_stops_the_projector(database_url: str) -> None:
    await failure_at(database_url, "TicketsHeld", b"{")


async def test_a_state_that_lacks_a_fact_stops_the_projector(database_url: str) -> None:
    await failure_at(database_url, "ReservationPlaced", b"{}")


async def test_a_domain_event_without_the_one_before_it_stops_the_projector(database_url: str) -> None:
    failure = await failure_at(database_url, "ReservationPaid", PAID)
    assert "RowMissing" in failure


async def failure_at(database_url: str, topic: str, state: bytes) -> str:
    """What the log says of such a domain event in the middle of a history; checks what else is told and left."""
    office = BoxOffice(1)
    good, later = office.commands(60), office.commands(60)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        bad = await append(connection, good) + 1
        await connection.execute(STORE, (STRANGER, 7, topic, state, bad, bad))
        await append(connection, later)
        async with stopped(database_url, connection, bad) as told:
            assert all(str(named) in told for named in (bad, STRANGER, "version 7", topic))
            await nothing_was_skipped(connection, good)
    return told


async def test_a_row_that_breaks_a_rule_of_its_table_stops_the_projector(database_url: str) -> None:
    office = BoxOffice(1)
    good, later = office.commands(60), office.commands(60)
    held = next(e for command in reversed(good) for e in command if e.TOPIC == "TicketsHeld")
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        bad = await append(connection, good) + 1
        facts = b'", "ticket_type_id": "' + str(held.ticket_type_id).encode() + b'", "capacity": -1}'
        await connection.execute(STORE, (held.originator_id, 10_000, "CapacityChanged", NO_STATE + facts, bad, bad))
        await append(connection, later)
        async with stopped(database_url, connection, bad) as told:
            assert all(str(named) in told for named in (bad, held.originator_id, "CapacityChanged", "check constraint"))
            await nothing_was_skipped(connection, good)


async def test_what_was_mended_is_folded_without_a_restart(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventstore.consumers.consumer.MENDED_SECONDS", 0.1)
    commands = BoxOffice(1).commands(60)
    async with await connect(database_url) as connection:
        await append(connection, commands[:30])
        (broken,) = commands[30][:1]
        bad = await append(connection, commands[30:31]) - len(commands[30]) + 1
        with psycopg.connect(database_url, options="-c search_path=tixxety", autocommit=True) as owner:
            owner.execute("SET session_replication_role = replica")
            owner.execute(SET_TOPIC, {"topic": "TicketsPainted", "position": bad})
            await append(connection, commands[31:])
            async with stopped(database_url, connection, bad):
                owner.execute(SET_TOPIC, {"topic": broken.TOPIC, "position": bad})
                await until_folded(connection)
                assert await shown_by(connection) == expected_of(commands)
                assert (await reservations_queries.readiness(connection)).stopped_before is None


@asynccontextmanager
async def stopped(database_url: str, connection: Connection, position: int) -> AsyncIterator[str]:
    """A projector that has stopped before this position, in the block, and what its log said, once."""
    with capture_logs() as logs:
        async with running(Projector(database_url)) as task:

            async def is_stopped() -> bool:
                return (await reservations_queries.readiness(connection)).stopped_before == position

            await until(is_stopped)
            assert (await reservations_queries.readiness(connection)).projector_holds_lock
            (told,) = [entry["error"] for entry in logs if entry["event"] == "the projections stopped"]
            yield told
            assert not task.done()
    assert sum(entry["event"] == "the projections stopped" for entry in logs) == 1


async def nothing_was_skipped(connection: Connection, folded: list[Command]) -> None:
    """The tables show exactly these commands."""
    assert (await checkpoint.read(connection)).position == sum(len(command) for command in folded)
    assert await shown_by(connection) == expected_of(folded)
