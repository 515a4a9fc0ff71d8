"""Reads share trips, survive a lost connection, and are answered or failed in bounded time, each with its own rows."""

import asyncio
import time

import psycopg
import pytest

from eventstore.errors import Overloaded
from eventstore.postgres import binary_parameters as binary
from eventstore.postgres import shared_reads
from eventstore.postgres.connections import Connection, ServerSilent
from eventstore.postgres.round_trips import Statement
from eventstore.postgres.shared_reads import Asked, SharedReads
from tests import box_office
from tests.fault_proxy import FaultProxy

ECHO = Statement("echo", "SELECT $1::bigint, pg_backend_pid(), statement_timestamp()")
WRONG = Statement("wrong", "SELECT 1 / ($1::bigint - 1)")
SLEEP = Statement("sleep", "SELECT pg_sleep($1::bigint)")


async def until_it_sleeps(connection: Connection) -> None:
    """Until the server is about `SLEEP`."""
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"

    async def is_sleeping() -> bool:
        return bool(await box_office.only(connection, sleeping))

    await box_office.until(is_sleeping)


async def echo(reads: SharedReads, number: int) -> tuple[int, int]:
    ((row,),) = await reads.ask((ECHO, [binary.bigint(number)]))
    return row[0], row[1]


async def test_everybody_gets_their_own_rows_from_one_connection(database_url: str) -> None:
    async with SharedReads(database_url) as reads:
        numbers = range(3 * shared_reads.TOGETHER_MAX)
        answers = await asyncio.gather(*(echo(reads, number) for number in numbers))
        several = await reads.ask(*((ECHO, [binary.bigint(number)]) for number in (7, 8)))
    assert [number for number, _ in answers] == list(numbers)
    assert len({pid for _, pid in answers}) == 1
    assert [rows[0][0] for rows in several] == [7, 8]


async def test_nothing_is_read_before_it_was_asked_for(database_url: str, connection: Connection) -> None:
    await connection.execute("RESET ROLE")
    async with SharedReads(database_url) as reads:
        first = asyncio.create_task(reads.ask((SLEEP, [binary.bigint(1)])))
        await until_it_sleeps(connection)
        asked_at = await box_office.only(connection, "SELECT clock_timestamp()")
        ((row,),) = await reads.ask((ECHO, [binary.bigint(1)]))
        await first
    assert row[2] >= asked_at


async def test_a_connection_that_ended_meanwhile_is_replaced_unseen(database_url: str, connection: Connection) -> None:
    async with SharedReads(database_url) as reads:
        _, pid = await echo(reads, 1)
        await connection.execute("RESET ROLE")
        await connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
        number, other_pid = await echo(reads, 2)
    assert number == 2
    assert other_pid != pid


async def test_who_gives_up_takes_nobody_along(database_url: str) -> None:
    async with SharedReads(database_url) as reads:
        _, pid = await echo(reads, 0)
        leaving, staying = (asyncio.create_task(echo(reads, number)) for number in (1, 2))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == (2, pid)
        assert await echo(reads, 3) == (3, pid)
    assert leaving.cancelled()


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        ((WRONG, [binary.bigint(1)]), psycopg.errors.DivisionByZero),
        ((Statement("missing", "SELECT 1 FROM no_such_table"), []), psycopg.errors.UndefinedTable),
    ],
    ids=["when it runs", "when it is prepared"],
)
async def test_what_is_refused_is_told_to_who_asked_and_the_others_are_answered(
    database_url: str, refused: Asked, error: type[psycopg.Error]
) -> None:
    async with SharedReads(database_url) as reads:
        for _ in range(2):
            one, told, other = await asyncio.gather(
                echo(reads, 1), reads.ask(refused), echo(reads, 2), return_exceptions=True
            )
            assert isinstance(told, error)
            assert (one[0], other[0]) == (1, 2)  # type: ignore[index]


async def test_a_silent_server_is_left_and_asked_again_once_it_speaks(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_reads, "TRIP_SECONDS", 0.5)
    async with FaultProxy(database_url) as proxy, SharedReads(proxy.url) as reads:
        assert (await echo(reads, 1))[0] == 1
        proxy.begin_black_hole()
        began = time.monotonic()
        failed = await asyncio.gather(*(echo(reads, number) for number in range(5)), return_exceptions=True)
        assert [type(one) for one in failed] == [ServerSilent] * 5
        assert time.monotonic() - began < 10
        proxy.end_black_hole()
        assert (await echo(reads, 2))[0] == 2


async def test_a_server_that_is_away_fails_all_who_wait_and_no_more(database_url: str) -> None:
    async with FaultProxy(database_url) as proxy, SharedReads(proxy.url) as reads:
        await proxy.go_away()
        failed = await asyncio.gather(*(echo(reads, number) for number in range(5)), return_exceptions=True)
        assert all(isinstance(one, psycopg.OperationalError) for one in failed)
        await proxy.come_back()
        assert (await echo(reads, 1))[0] == 1


async def test_more_than_can_be_answered_soon_are_refused(database_url: str) -> None:
    async with SharedReads(database_url) as reads:
        asking = [asyncio.create_task(echo(reads, number)) for number in range(shared_reads.WAITING_MAX + 1)]
        answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(one) for one in answers if isinstance(one, BaseException)] == [Overloaded]


async def test_closing_ends_those_who_wait(database_url: str, connection: Connection) -> None:
    await connection.execute("RESET ROLE")
    async with SharedReads(database_url) as reads:
        waiting = asyncio.create_task(reads.ask((SLEEP, [binary.bigint(30)])))
        await until_it_sleeps(connection)
    with pytest.raises(asyncio.CancelledError):
        await waiting
