"""A domain event that can't be folded stops the runner, by name, with all before it folded and nothing after it."""

import asyncio
from uuid import UUID

import pytest

from eventstore.connections import WORKER_ROLE, Connection, connect
from projections import checkpoint
from projections.failures import FoldFailed
from projections.runner import Runner
from tests.projections.histories import BoxOffice, Command, append
from tests.projections.independent_fold import expected_of, shown_by
from tests.projections.waiting import lock_holders, until

STORE = """
INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, command_position)
VALUES (%s, %s, %s, %s, %s, %s)
"""
STRANGER = UUID(int=0xBAD)
NO_STATE = b'{"timestamp": "2035-06-01T12:00:00Z", "actor_id": "system", "request_id": "' + str(STRANGER).encode()
PAID = NO_STATE + b'", "event_id": "' + str(STRANGER).encode() + b'", "amount_minor": 1, "currency": "EUR"}'


async def test_an_unknown_topic_stops_the_runner(database_url: str) -> None:
    failure = await failure_at(database_url, "TicketsPainted", b"{}")
    assert failure.topic == "TicketsPainted"


async def test_a_state_that_is_no_json_stops_the_runner(database_url: str) -> None:
    await failure_at(database_url, "TicketsHeld", b"{")


async def test_a_state_that_lacks_a_fact_stops_the_runner(database_url: str) -> None:
    await failure_at(database_url, "ReservationPlaced", b"{}")


async def test_a_domain_event_without_the_one_before_it_stops_the_runner(database_url: str) -> None:
    failure = await failure_at(database_url, "ReservationPaid", PAID)
    assert "RowMissing" in str(failure)


async def failure_at(database_url: str, topic: str, state: bytes) -> FoldFailed:
    """What the runner says of such a domain event in the middle of a history; checks what it leaves behind."""
    office = BoxOffice(1)
    good, later = office.commands(60), office.commands(60)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        bad = await append(connection, good) + 1
        await connection.execute(STORE, (STRANGER, 7, topic, state, bad, bad))
        await append(connection, later)
        failure = await stopped(database_url)
        assert (failure.position, failure.stream, failure.version, failure.topic) == (bad, STRANGER, 7, topic)
        assert all(str(named) in str(failure) for named in (bad, STRANGER, topic))
        await nothing_was_skipped(connection, good)
    return failure


async def test_a_row_that_breaks_a_rule_of_its_table_stops_the_runner(database_url: str) -> None:
    office = BoxOffice(1)
    good, later = office.commands(60), office.commands(60)
    held = next(e for command in reversed(good) for e in command if e.TOPIC == "TicketsHeld")
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        bad = await append(connection, good) + 1
        facts = b'", "ticket_type_id": "' + str(held.ticket_type_id).encode() + b'", "capacity": -1}'
        await connection.execute(STORE, (held.originator_id, 10_000, "CapacityChanged", NO_STATE + facts, bad, bad))
        await append(connection, later)
        failure = await stopped(database_url)
        assert (failure.position, failure.stream, failure.topic) == (bad, held.originator_id, "CapacityChanged")
        assert "check constraint" in str(failure)
        await nothing_was_skipped(connection, good)


async def stopped(database_url: str) -> FoldFailed:
    with pytest.raises(FoldFailed) as caught:
        await asyncio.wait_for(Runner(database_url).run(), 30)
    return caught.value


async def nothing_was_skipped(connection: Connection, folded: list[Command]) -> None:
    """The tables show exactly these commands, and the lock is free for a runner that knows better."""
    assert (await checkpoint.read(connection)).position == sum(len(command) for command in folded)
    assert await shown_by(connection) == expected_of(folded)

    async def lock_is_free() -> bool:
        return not await lock_holders(connection)

    await until(lock_is_free)
