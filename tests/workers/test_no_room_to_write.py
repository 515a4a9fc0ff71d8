"""A database that takes no writes for a while: the worker says so once, lives on, and goes on when it may."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest
from psycopg import sql
from structlog.testing import capture_logs

from eventstore import reading
from eventstore.postgres.connections import Connection
from eventstore.seals import seals
from eventstore.writing.group_commit import GroupCommit
from tests import box_office
from tests.workers.conftest import Worker
from workers.periodic_jobs import Sealing

PROJECTOR, SEALING = "the projector can't go on", "the sealing can't go on"
TABLES = ("checkpoint", "seals")
# As PostgreSQL answers when its disk is full. The sequence counts also what is rolled back.
NO_ROOM = """
CREATE SEQUENCE public.attempts;
CREATE FUNCTION public.no_room() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM nextval('public.attempts');
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
END $$;
"""
REFUSE = sql.SQL("CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON {} FOR EACH STATEMENT EXECUTE FUNCTION no_room()")
ALLOW = sql.SQL("DROP TRIGGER no_room ON {}")
END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'worker'
"""
SET_READ_ONLY = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")


@contextmanager
def disk_full(owner: "psycopg.Connection[tuple[int]]") -> Iterator[Callable[[], bool]]:
    owner.execute(NO_ROOM)
    for table in TABLES:
        owner.execute(REFUSE.format(sql.Identifier(table)))
    yield lambda: owner.execute("SELECT last_value FROM public.attempts").fetchall()[0][0] > 6
    for table in TABLES:
        owner.execute(ALLOW.format(sql.Identifier(table)))


@contextmanager
def read_only(owner: "psycopg.Connection[tuple[int]]") -> Iterator[Callable[[], bool]]:
    for value, is_last in (("on", False), ("off", True)):
        owner.execute(SET_READ_ONLY.format(sql.Identifier(owner.info.dbname), sql.SQL(value)))
        owner.execute(END_OTHERS)
        if not is_last:
            yield lambda: True


@pytest.mark.parametrize(("fault", "reason"), [(disk_full, "disk-full"), (read_only, "read-only")])
async def test_it_is_told_once_and_waited_for(
    database_url: str,
    connection: Connection,
    commands: GroupCommit,
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[["psycopg.Connection[tuple[int]]"], AbstractContextManager[Callable[[], bool]]],
    reason: str,
) -> None:
    monkeypatch.setattr(Sealing, "interval_seconds", 0.5)
    organiser, *buyers = await box_office.register(connection, 11)
    event = box_office.create(organiser, hold_seconds=1)
    await commands.submit(event)
    options = "-c search_path=tixxety,projections,public"
    with capture_logs() as logs, psycopg.connect(database_url, options=options, autocommit=True) as owner:
        async with worker(f"{database_url}?application_name=worker") as task:
            await box_office.submit_all(commands, [box_office.reserve(event.event_id, buyer) for buyer in buyers])
            with fault(owner) as was_tried_often:

                async def is_told() -> bool:
                    told = [entry for entry in logs if entry.get("reason") == reason]
                    return {PROJECTOR, SEALING} <= {entry["event"] for entry in told} and was_tried_often()

                await commands.submit(box_office.create(organiser))
                await box_office.until(is_told)
                assert not task.done()
            await box_office.until(lambda: all_done(connection))
            assert not task.done()
    told = [entry["event"] for entry in logs if entry.get("reason") == reason]
    assert sorted(told) == sorted(set(told)), "a line for each that stands still"


async def all_done(connection: Connection) -> bool:
    newest = await seals.newest(connection)
    expired = await box_office.only(connection, "SELECT count(*) FROM reservations WHERE status = 'expired'")
    return newest is not None and newest.last_position == await reading.head(connection) and expired == 10
