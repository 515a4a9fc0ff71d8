"""Trips leave in one piece, are answered together and within a bound, and leave the server's timers armed."""

import asyncio
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from eventstore.postgres import binary_parameters as binary
from eventstore.postgres.connections import Connection, ServerSilent
from eventstore.postgres.round_trips import Statement, Trips
from tests import box_office
from tests.fault_proxy import FaultProxy

BEGIN = Statement("begin", "BEGIN")
ECHO = Statement("echo", "SELECT $1::bytea")
SLEEP = Statement("sleep", "SELECT pg_sleep(30)")
WRONG = Statement("wrong", "SELECT 1 / ($1::bigint - 1)")
ARRAYS = Statement("arrays", "SELECT $1::bigint[], $2::uuid[], $3::text[], $4::bytea[], $5::timestamptz, $6::bigint")
STATEMENTS = (BEGIN, ECHO, SLEEP, WRONG, ARRAYS)
IS_ALONE = "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()"
IS_THERE = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %(pid)s)"


async def opened(database_url: str, seconds: float = 20, **settings: str) -> Trips:
    return await Trips.open(database_url, STATEMENTS, seconds, **settings)


async def test_every_parameter_arrives_as_it_was_sent(database_url: str) -> None:
    ids, now = [uuid4() for _ in range(3)], datetime.now(UTC)
    sent = ([-(2**63), 0, 2**63 - 1], ids, ["", "ß", "\U0001f39f"], [b"", b"\0\xff"], now, -7)
    encode = (binary.bigints, binary.uuids, binary.texts, binary.byteas, binary.timestamptz, binary.bigint)
    parameters = [function(value) for function, value in zip(encode, sent, strict=True)]  # type: ignore[operator]
    trips = await opened(database_url)
    ((row,),) = await trips.go((ARRAYS, parameters))
    assert row == sent
    nothing = [function([]) for function in encode[:4]]  # type: ignore[operator]
    ((row,),) = await trips.go((ARRAYS, [*nothing, *parameters[4:]]))
    assert row[:4] == ([], [], [], [])
    trips.close()


async def test_more_than_fits_into_any_buffer_comes_through_both_ways(database_url: str) -> None:
    trips = await opened(database_url, 60)
    large = [bytes([number]) * 8_000_000 for number in range(4)]
    async with asyncio.timeout(60):
        answers = await trips.go(*((ECHO, [each]) for each in large))
    assert [row[0] for (row,) in answers] == large
    trips.close()


async def test_a_statement_that_is_refused_is_told_and_those_after_it_are_skipped(database_url: str) -> None:
    trips = await opened(database_url)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await trips.go((ECHO, [b"x"]), (WRONG, [binary.bigint(1)]), (ECHO, [b"y"]))
    assert trips.is_open
    assert await trips.go((ECHO, [b"z"])) == [[(b"z",)]]
    trips.close()


async def test_a_connection_that_can_not_be_prepared_is_closed(database_url: str, connection: Connection) -> None:
    await connection.execute("RESET ROLE")
    for _ in range(3):
        with pytest.raises(psycopg.errors.UndefinedTable):
            await Trips.open(database_url, [Statement("lost", "SELECT FROM nowhere")], 20)

    async def are_gone() -> bool:
        return bool(await box_office.only(connection, IS_ALONE))

    await box_office.until(are_gone)


async def test_no_answer_in_time_ends_the_connection(database_url: str) -> None:
    trips = await opened(database_url, 0.5)
    with pytest.raises(ServerSilent):
        await trips.go((SLEEP, []))
    assert not trips.is_open
    with pytest.raises(psycopg.OperationalError):
        await trips.go((ECHO, [b"x"]))
    trips.close()


async def test_an_answer_counts_that_came_while_the_event_loop_was_busy(database_url: str) -> None:
    trips = await opened(database_url, 0.5)
    asking = asyncio.create_task(trips.go((ECHO, [b"x"])))
    await asyncio.sleep(0)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        pass
    assert await asking == [[(b"x",)]]
    trips.close()


async def test_a_connection_that_the_server_ended_is_known_to_be_lost_before_it_is_used(
    database_url: str, connection: Connection
) -> None:
    trips = await opened(database_url)
    await connection.execute("RESET ROLE")
    await connection.execute("SELECT pg_terminate_backend(%s)", (trips.backend_pid,))

    async def is_lost() -> bool:
        return not trips.is_open

    await box_office.until(is_lost)
    trips.close()


async def test_a_connection_that_is_lost_on_the_way_is_told(database_url: str) -> None:
    async with FaultProxy(database_url) as proxy:
        trips = await opened(proxy.url)
        waiting = asyncio.create_task(trips.go((SLEEP, [])))
        await asyncio.wait([waiting], timeout=0.2)
        await proxy.go_away()
        with pytest.raises(psycopg.OperationalError):
            await asyncio.wait_for(waiting, 10)
        assert not trips.is_open


async def test_who_is_frozen_between_two_trips_is_ended_by_the_server(
    database_url: str, connection: Connection
) -> None:
    trips = await opened(database_url, idle_in_transaction_session_timeout="300ms")
    await trips.go((BEGIN, []), (ECHO, [b"x"]))

    async def is_gone() -> bool:
        return not await box_office.only(connection, IS_THERE, pid=trips.backend_pid)

    await box_office.until(is_gone)
    trips.close()


def test_an_id_is_sixteen_bytes() -> None:
    assert binary.uuids([UUID(int=1)])[-16:] == UUID(int=1).bytes
