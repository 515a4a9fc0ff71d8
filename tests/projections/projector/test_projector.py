"""One projector at a time: who takes over, how soon it notices, and what it can't overwrite."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from psycopg import sql
from structlog.testing import capture_logs

from eventstore.errors import CheckpointMoved, SchemaOutdated
from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from eventstore.reading import head
from projections import checkpoint
from projections.checkpoint import DEFINITIONS_VERSION
from projections.projector.batch_transaction import Batches
from projections.projector.projector import NEWER_TABLES, OLDER_TABLES, Projector
from projections.schema import make_schema
from projections.tables.all_tables import TABLES
from tests.projections.histories import BoxOffice, append
from tests.projections.independent_fold import expected_of, shown_by
from tests.projections.waiting import lock_holders, running, until, until_folded, until_somebody_leads
from tests.running import running as running_process
from tixxety.processes.child_process import TiedProcess

RUN = """
import asyncio, sys
from projections.projector.projector import Projector
asyncio.run(Projector(sys.argv[1]).run())
"""
SET_VERSION = "UPDATE checkpoint SET definitions_version = %s"
END_SESSION = "SELECT pg_terminate_backend(%s)"
KEEP_A_DIARY = """
CREATE TABLE diary (pid integer, position_before bigint, position bigint, place bigserial);
CREATE FUNCTION write_diary() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO diary VALUES (pg_backend_pid(), OLD.position, NEW.position);
    RETURN NULL;
END $$;
CREATE TRIGGER diary AFTER UPDATE ON checkpoint FOR EACH ROW EXECUTE FUNCTION write_diary();
"""
INSERT_IN_SILENCE = """
INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, command_position)
SELECT gen_random_uuid(), 1, topic, state, notification_id + 1, notification_id + 1
FROM stored_events WHERE notification_id = 1
"""


@asynccontextmanager
async def owner(database_url: str) -> AsyncIterator[Connection]:
    """A connection that may change tables, as the migration does."""
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await connection.execute("RESET ROLE")
        yield connection


async def test_an_append_wakes_the_projector_without_a_poll(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventstore.consumers.consumer.POLL_SECONDS", 3_600)
    office = BoxOffice(1)
    async with await connect(database_url, role=WORKER_ROLE) as connection, running(Projector(database_url)):
        await until_somebody_leads(connection)
        for _ in range(20):
            await append(connection, office.commands(1))
            await until_folded(connection)


async def test_what_anybody_may_say_on_the_channel_changes_nothing(database_url: str) -> None:
    commands = BoxOffice(1).commands(20)
    async with (
        await connect(database_url, role=WORKER_ROLE) as connection,
        running(Projector(database_url)) as projector,
    ):
        await until_somebody_leads(connection)
        for said in ("x", "", "99999999999"):
            await connection.execute("SELECT pg_notify(%s, %s)", ("history", said))
        await append(connection, commands)
        await until_folded(connection)
        assert not projector.done()
        assert await shown_by(connection) == expected_of(commands)


async def test_the_projector_finds_by_itself_what_nobody_told_it_of(database_url: str) -> None:
    async with owner(database_url) as connection, running(Projector(database_url)):
        await append(connection, BoxOffice(1).commands(1))
        await until_folded(connection)
        await connection.execute(INSERT_IN_SILENCE)
        assert await head(connection) == 2
        await until_folded(connection)


async def test_there_is_one_notification_a_batch_with_the_position_it_reached(database_url: str) -> None:
    async with (
        await connect(database_url, role=WORKER_ROLE) as connection,
        await connect(database_url, role=WORKER_ROLE) as listener,
    ):
        await listener.execute("LISTEN projections")
        await listener.execute("LISTEN history")
        last = await append(connection, BoxOffice(1).commands(50))
        await Batches(connection, await checkpoint.read(connection)).fold_next()
        told = [(one.channel, one.payload) async for one in listener.notifies(timeout=20, stop_after=2)]
        assert told == [("history", str(last)), ("projections", str(last))]


async def test_a_standby_takes_over_from_a_projector_that_is_stopped(database_url: str) -> None:
    commands = BoxOffice(2).commands(200)
    async with await connect(database_url, role=WORKER_ROLE) as connection, running(Projector(database_url)) as first:
        leader = await until_somebody_leads(connection)
        async with running(Projector(database_url)) as second:
            await append(connection, commands[:100])
            await until_folded(connection)
            assert await lock_holders(connection) == [leader]
            first.cancel()
            assert await until_somebody_leads(connection, but=leader) != leader
            await append(connection, commands[100:])
            await until_folded(connection)
            assert not second.done()
        assert await shown_by(connection) == expected_of(commands)


async def test_a_projector_that_loses_its_lock_stops_writing_and_stands_by(database_url: str) -> None:
    commands = BoxOffice(3).commands(200)
    async with owner(database_url) as connection, running(Projector(database_url)), running(Projector(database_url)):
        for start in range(0, 200, 40):
            leader = await until_somebody_leads(connection)
            await connection.execute(END_SESSION, (leader,))
            await until_somebody_leads(connection, but=leader)
            await append(connection, commands[start : start + 40])
            await until_folded(connection)
        assert await shown_by(connection) == expected_of(commands)


async def test_no_two_projectors_write_from_the_same_position(database_url: str) -> None:
    commands = BoxOffice(4).commands(600)
    async with owner(database_url) as connection:
        await connection.execute("SET search_path = projections")
        await connection.execute(KEEP_A_DIARY)
        await connection.execute("RESET search_path")
    async with owner(database_url) as connection, running(Projector(database_url)), running(Projector(database_url)):
        for start in range(0, 600, 50):
            await append(connection, commands[start : start + 50])
            for leader in await lock_holders(connection):
                await connection.execute(END_SESSION, (leader,))
        await until_folded(connection)
        query = "SELECT position_before, position, pid FROM diary ORDER BY place"
        diary = await (await connection.execute(query)).fetchall()
    assert [before for before, _, _ in diary] == [0, *(position for _, position, _ in diary[:-1])]


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_projector_whose_process_freezes_or_dies_is_taken_over(
    database_url: str, tmp_path: Path, how: signal.Signals
) -> None:
    commands = BoxOffice(5).commands(300)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        with running_process([sys.executable, "-c", RUN, database_url], {}, tmp_path / "log") as process:
            leader = await until_somebody_leads(connection)
            await append(connection, commands[:100])
            await until_folded(connection)
            process.send(how)
            async with running(Projector(database_url)):
                await append(connection, commands[100:200])
                await until_somebody_leads(connection, but=leader)
                await until_folded(connection)
                await thaw(process, how)
                await append(connection, commands[200:])
                await until_folded(connection)
        assert await shown_by(connection) == expected_of(commands)


async def thaw(process: TiedProcess, how: signal.Signals) -> None:
    """Let a frozen process go on; it has to find out that it lost the lock, and stand by."""
    if how is signal.SIGSTOP:
        process.send(signal.SIGCONT)
        assert process.is_alive()


async def test_a_batch_from_an_outdated_checkpoint_changes_nothing(database_url: str) -> None:
    commands = BoxOffice(6).commands(80)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        start = await checkpoint.read(connection)
        slow, fast = Batches(connection, start), Batches(connection, start)
        await append(connection, commands)
        await fast.fold_next(40)
        before = await shown_by(connection)
        with pytest.raises(CheckpointMoved):
            await slow.fold_next(10)
        assert await shown_by(connection) == before
        while await fast.fold_next():
            pass
        assert await shown_by(connection) == expected_of(commands)


async def test_after_a_rename_an_old_projector_does_not_write_into_the_new_tables(database_url: str) -> None:
    commands = BoxOffice(7).commands(80)
    live, fresh, old = (sql.Identifier(name) for name in ("projections", "fresh", "old"))
    async with owner(database_url) as connection, owner(database_url) as builder:
        await append(connection, commands[:40])
        batches = Batches(connection, await checkpoint.read(connection))
        await batches.fold_next()
        async with builder.transaction():
            await make_schema.make(builder, "fresh")
            await builder.execute("UPDATE checkpoint SET position = %s", (batches.position,))
        async with builder.transaction():
            await builder.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(live, old))
            await builder.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(fresh, live))
        await append(connection, commands[40:])
        with pytest.raises(CheckpointMoved):
            await batches.fold_next()
        assert await shown_by(connection) == {table.name: {} for table in TABLES}


async def test_a_projector_follows_a_rename_to_the_new_tables(database_url: str) -> None:
    async with owner(database_url) as connection, running(Projector(database_url)):
        await append(connection, BoxOffice(8).commands(1))
        await until_folded(connection)
        await connection.execute("UPDATE checkpoint SET generation = (generation + 1) % 2147483647")
        await append(connection, BoxOffice(9).commands(1))
        await until_folded(connection)
        leaders = await lock_holders(connection)
        assert len(leaders) == 1


@pytest.mark.parametrize(("by", "told"), [(-1, OLDER_TABLES), (1, NEWER_TABLES)])
async def test_a_projector_leaves_tables_of_another_version_alone_until_they_are_ours(
    database_url: str, by: int, told: str
) -> None:
    async with owner(database_url) as connection:
        await append(connection, BoxOffice(1).commands(1))
        await connection.execute(SET_VERSION, (DEFINITIONS_VERSION + by,))
        with capture_logs() as logs:
            async with running(Projector(database_url)) as projector:

                async def is_told() -> bool:
                    return any(entry["event"] == told for entry in logs)

                await until(is_told)
                assert await nobody_leads(connection)
                await connection.execute(SET_VERSION, (DEFINITIONS_VERSION,))
                await until_folded(connection)
                assert not projector.done()
    assert sum(entry["event"] == told for entry in logs) == 1


async def test_a_worker_whose_program_was_replaced_on_disk_ends_so_that_the_newer_one_is_started(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with owner(database_url) as connection:
        await connection.execute(SET_VERSION, (DEFINITIONS_VERSION + 1,))
        projector = Projector(database_url)
        monkeypatch.setattr("projections.schema.make_schema.fingerprint", lambda: "of the newer program")
        with pytest.raises(SchemaOutdated):
            await asyncio.wait_for(projector.run(), 30)
        await until(lambda: nobody_leads(connection))


async def nobody_leads(connection: Connection) -> bool:
    return not await lock_holders(connection)
