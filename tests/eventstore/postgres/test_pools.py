"""A pool hands out what is alive, and says what is true when it has nothing to hand out."""

import asyncio
import select
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql
from psycopg_pool import PoolTimeout, TooManyRequests

from eventstore.errors import DatabaseAway, Overloaded, failure_of
from eventstore.postgres.connections import Connection, connect, connect_as_owner, pool
from eventstore.postgres.pools import NoneAnswers, Pool
from tests.box_office import only
from tests.fault_proxy import FaultProxy

SIZE = 3
END = "SELECT count(pg_terminate_backend(pid, 5000)) FROM unnest(%(pids)s::int[]) AS pid"


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[Pool]:
    """A pool of three that waits no longer than a fifth of a second."""
    async with pool(database_url, SIZE) as connections:
        assert isinstance(connections, Pool)
        connections.timeout = 0.2
        yield connections


async def all_of(connections: Pool) -> list[Connection]:
    return [await connections.getconn(5) for _ in range(SIZE)]


async def test_what_the_server_has_ended_is_replaced_before_anybody_fails(connections: Pool, database_url: str) -> None:
    owner = await connect_as_owner(database_url)
    for _ in range(3):
        taken = await all_of(connections)
        pids = [one.info.backend_pid for one in taken]
        for one in taken:
            await connections.putconn(one)
        assert await only(owner, END, pids=pids) == SIZE
        for _ in range(SIZE):
            async with connections.connection(5) as alive:
                assert await only(alive, "SELECT 1") == 1
    await owner.close()


async def test_a_notice_is_no_end(database_url: str, connection: Connection) -> None:
    async with pool(database_url, 1) as connections:
        async with connections.connection(5) as listening:
            await listening.execute("LISTEN gossip")
            pid = listening.info.backend_pid
        await connection.execute("NOTIFY gossip")
        async with connections.connection(5) as same:
            assert await only(same, "SELECT pg_backend_pid()") == pid


async def test_who_gives_up_while_a_connection_is_looked_at_leaves_it_to_the_others(
    database_url: str, connection: Connection
) -> None:
    async with FaultProxy(database_url) as proxy, pool(proxy.url, 1) as connections:
        async with connections.connection(5) as listening:
            await listening.execute("LISTEN gossip")
        await connection.execute("NOTIFY gossip")
        has_news = select.poll()
        has_news.register(listening.pgconn.socket, select.POLLIN)
        assert await asyncio.to_thread(has_news.poll, 5_000)
        proxy.begin_black_hole()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connections.getconn()
        proxy.end_black_hole()
        async with connections.connection(5) as alive:
            assert await only(alive, "SELECT 1") == 1


async def test_a_pool_whose_connections_come_back_is_busy(connections: Pool) -> None:
    taken = await all_of(connections)
    await connections.putconn(taken.pop())
    taken.append(await connections.getconn())
    connections.timeout, connections.max_waiting = 60, 1
    waiting = asyncio.create_task(connections.getconn())
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests) as full:
        await connections.getconn()
    connections.max_waiting = 2
    with pytest.raises(PoolTimeout) as late:
        await connections.getconn(0.01)
    assert {type(failure_of(error)) for error in (full.value, late.value)} == {Overloaded}
    for one in taken:
        await connections.putconn(one)
    await connections.putconn(await waiting)


async def test_a_pool_of_which_none_comes_back_is_a_database_that_is_away(connections: Pool) -> None:
    taken = await all_of(connections)
    with pytest.raises(NoneAnswers) as away:
        await connections.getconn()
    assert isinstance(failure_of(away.value), DatabaseAway)
    for one in taken:
        await connections.putconn(one)


async def test_a_database_that_can_not_be_reached_is_away(database_url: str) -> None:
    async with FaultProxy(database_url) as proxy, pool(proxy.url, SIZE) as connections:
        await proxy.go_away()
        connections.timeout = 0.2
        with pytest.raises(psycopg.OperationalError) as away:
            await connections.getconn()
        assert isinstance(failure_of(away.value), DatabaseAway)


async def test_who_comes_before_the_first_connection_has_not_come_in_vain(database_url: str) -> None:
    connections = pool(database_url, 1)
    connections.max_waiting = 1
    await connections.open()
    first = asyncio.create_task(connections.getconn())
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):
        await connections.getconn()
    await connections.putconn(await first)
    await connections.close()


async def test_a_quiet_time_ends_no_session_of_ours(database_url: str, connection: Connection) -> None:
    name = sql.Identifier(connection.info.dbname)
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(sql.SQL("ALTER DATABASE {} SET idle_session_timeout = '1s'").format(name))
    async with await connect(database_url) as ours:
        assert await only(ours, "SELECT current_setting('idle_session_timeout')") == "0"
