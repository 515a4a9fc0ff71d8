"""A server that answers nothing, or that no standby follows: all are told the truth in time, and it sells again."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import psutil
import psycopg
import pytest
from msgspec.structs import replace

from eventstore.errors import DatabaseAway, Failure
from eventstore.postgres.connections import Connection, connect
from eventstore.writing import group_commit, group_writer
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from tests import box_office
from tests.conftest import new_home
from tixxety.embedded.server import EmbeddedPostgres
from tixxety.schema.migration import migrate

GIVE_UP_THE_STANDBY = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def own_server_url() -> Iterator[str]:
    """A server that only these tests use: what they do to it would stop all others."""
    with new_home() as home:
        server = EmbeddedPostgres(home, durable=False)
        try:
            url = server.start()
            migrate(url)
            yield url
        finally:
            server.discard()


@pytest.fixture
async def own_connection(own_server_url: str) -> AsyncIterator[Connection]:
    async with await connect(own_server_url) as connection:
        yield connection


def server_processes(connection: Connection) -> list[psutil.Process]:
    postmaster = psutil.Process(connection.info.backend_pid).parent()
    assert postmaster is not None
    return [postmaster, *postmaster.children(recursive=True)]


async def test_a_frozen_server_costs_each_its_patience_at_most_and_then_all_sells_again(
    own_server_url: str, own_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trip and its second try would take longer: whoever waits is told while they are still under way."""
    monkeypatch.setattr(group_commit, "PATIENCE_SECONDS", 1.5)
    monkeypatch.setattr(group_commit, "LOADING_SECONDS", 1)
    organiser, buyer = await box_office.register(own_connection, 2)
    known, unknown = box_office.create(organiser), box_office.create(organiser)
    async with GroupCommit(own_server_url) as commands, GroupCommit(own_server_url) as others:
        await commands.submit(known)
        await others.submit(unknown)
        key = box_office.key("so that what was recorded after all is found")
        wishes = [box_office.reserve(event.event_id, buyer, idempotency=key) for event in (known, unknown)]
        processes = server_processes(own_connection)
        for process in processes:
            process.suspend()
        try:
            asked = [asyncio.create_task(commands.submit(wish)) for wish in wishes]
            paying = asyncio.create_task(commands.event_of(uuid4()))
            done, waiting = await asyncio.wait([*asked, paying], timeout=group_commit.PATIENCE_SECONDS + 5)
        finally:
            for process in processes:
                process.resume()
        assert not waiting
        assert all(isinstance(task.exception(), Failure) for task in done)
        assert isinstance(asked[0].exception(), DatabaseAway)

        async def all_sells() -> bool:
            return box_office.count(await box_office.submit_all(commands, wishes), Outcome) == 2

        await box_office.until(all_sells, 10)


async def test_what_no_standby_has_is_not_acknowledged_to_a_retry_either(
    own_server_url: str, own_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_writer, "TRIP_SECONDS", 0.5)
    monkeypatch.setattr(group_commit, "BUSY_SECONDS", 1)
    organiser, buyer = await box_office.register(own_connection, 2)
    event = box_office.create(organiser)
    wish = box_office.reserve(event.event_id, buyer, idempotency=box_office.key("k"))
    async with (
        GroupCommit(own_server_url) as commands,
        await psycopg.AsyncConnection.connect(own_server_url, autocommit=True) as superuser,
    ):
        await commands.submit(event)
        await superuser.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await superuser.execute("SELECT pg_reload_conf()")
        await box_office.until(lambda: a_commit_waits(own_server_url, superuser))
        try:
            with pytest.raises(DatabaseAway):
                await commands.submit(wish)
            # An operator gives up waiting for the standby; what is committed here is still on one machine only.
            await superuser.execute(GIVE_UP_THE_STANDBY)
            for _ in range(2):
                with pytest.raises(Failure):
                    await commands.submit(replace(wish, request_id=uuid4()))
        finally:
            await superuser.execute("ALTER SYSTEM RESET synchronous_standby_names")
            await superuser.execute("SELECT pg_reload_conf()")

        async def is_told() -> bool:
            (answer,) = await box_office.submit_all(commands, [replace(wish, request_id=uuid4())])
            return isinstance(answer, Outcome) and answer.replayed

        await box_office.until(is_told)


async def a_commit_waits(url: str, superuser: psycopg.AsyncConnection[tuple[bool]]) -> bool:
    """Whether a commit waits for a standby: not before the checkpointer, too, has read the setting."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as probe:
        await probe.execute("SET synchronous_commit = on")
        commit = asyncio.create_task(probe.execute("SELECT pg_logical_emit_message(true, 'probe', '')"))
        while not commit.done():
            if await (await superuser.execute(GIVE_UP_THE_STANDBY)).fetchall():
                await commit
                return True
            await asyncio.sleep(0.01)
    return False
