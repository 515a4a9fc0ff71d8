"""A way on which nothing comes back: others take over soon, and all goes on by itself once it is open again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from eventstore import reading, snapshots
from eventstore.box_office import JOBS_KEY, BoxOffice
from eventstore.postgres import connections
from eventstore.postgres.connections import Connection
from eventstore.seals import seals
from eventstore.writing.group_commit import GroupCommit
from projections.projector.checkpoint_watcher import CheckpointWatcher
from tests import box_office
from tests.fault_proxy import FaultProxy
from tests.workers.conftest import Worker
from tests.workers.test_sealing import OLD_REFUSALS
from workers.periodic_jobs import RefusalRetention, Sealing, Snapshots

# What is promised is 3 and 15 seconds; a machine that does much else meanwhile may take longer.
SLACK = 2
FREE_SECONDS, RECOVERED_SECONDS = 3 * SLACK, 15 * SLACK
HOLDERS = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (classid = %(projector_class)s::oid OR (classid = %(lock_class)s::oid AND objid = %(lock_key)s::oid))
"""
VALUES = BoxOffice().lock(JOBS_KEY) | {"projector_class": BoxOffice().projector_class}
EXPIRED = "SELECT count(*) FROM reservations WHERE status = 'expired'"
TAKEN = "SELECT count(*) FROM snapshots"
KEPT = "SELECT count(*) FROM refused_together"
FOLDED = "SELECT position FROM checkpoint"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    for job in (RefusalRetention, Sealing, Snapshots):
        monkeypatch.setattr(job, "interval_seconds", 0.5)
    monkeypatch.setattr(snapshots, "MIN_INTERVAL_VERSIONS", 20)


class Work:
    """Something to do for each of the worker's parts, and how to see that it is done."""

    def __init__(
        self, database_url: str, connection: Connection, commands: GroupCommit, watcher: CheckpointWatcher
    ) -> None:
        self._database_url = database_url
        self._connection = connection
        self._commands = commands
        self._watcher = watcher
        self._rounds = 0

    async def give(self) -> None:
        """One more event of 30 tickets that are held for a second, and refusals that are too old to be kept."""
        self._rounds += 1
        organiser, *buyers = await box_office.register(self._connection, 31)
        event = box_office.create(organiser, capacity=30, hold_seconds=1)
        await self._commands.submit(event)
        await box_office.submit_all(self._commands, [box_office.reserve(event.event_id, buyer) for buyer in buyers])
        with psycopg.connect(self._database_url, options="-c search_path=tixxety", autocommit=True) as owner:
            owner.execute(OLD_REFUSALS.encode())
            owner.execute("UPDATE refused_together SET refused_at = refused_at - interval '1 year'")

    @property
    def parts(self) -> dict[str, Callable[[], Awaitable[bool]]]:
        """Whether each of them has done all there is to do."""
        return {
            "projector": lambda: self._has(FOLDED, self._rounds * 61),
            "watcher": self._follows,
            "expiry": lambda: self._has(EXPIRED, self._rounds * 30),
            "snapshots": lambda: self._has(TAKEN, self._rounds),
            "sealing": self._is_sealed,
            "ageing": self._is_forgotten,
        }

    async def until_done(self) -> None:
        """Wait for all of them; names those that are not in time."""
        waits = {
            part: asyncio.create_task(box_office.until(look, RECOVERED_SECONDS)) for part, look in self.parts.items()
        }
        await asyncio.wait(waits.values())
        assert [part for part, wait in waits.items() if wait.exception()] == []

    async def _has(self, query: str, wanted: int) -> bool:
        return bool(await box_office.only(self._connection, query) >= wanted)

    async def _follows(self) -> bool:
        return self._watcher.position >= self._rounds * 61

    async def _is_sealed(self) -> bool:
        newest = await seals.newest(self._connection)
        return newest is not None and newest.last_position == await reading.head(self._connection)

    async def _is_forgotten(self) -> bool:
        return bool(await box_office.only(self._connection, KEPT) == 0)


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(database_url) as proxy:
        yield proxy


async def locks_are_free(connection: Connection) -> bool:
    return bool(await box_office.only(connection, HOLDERS, **VALUES) == 0)


async def test_its_locks_are_free_soon_and_every_part_goes_on_once_the_way_is_open(
    database_url: str,
    connection: Connection,
    commands: GroupCommit,
    worker: Worker,
    proxy: FaultProxy,
) -> None:
    async with CheckpointWatcher(proxy.url) as watcher, worker(proxy.url) as task:
        work = Work(database_url, connection, commands, watcher)
        await work.give()
        await work.until_done()
        proxy.begin_black_hole()
        await box_office.until(lambda: locks_are_free(connection), FREE_SECONDS)
        await work.give()
        proxy.end_black_hole()
        await work.until_done()
        assert not task.done()


async def test_another_worker_takes_over_all_of_it(
    database_url: str,
    connection: Connection,
    commands: GroupCommit,
    worker: Worker,
    proxy: FaultProxy,
) -> None:
    async with CheckpointWatcher(database_url) as watcher, worker(proxy.url):
        work = Work(database_url, connection, commands, watcher)
        await work.give()
        await work.until_done()
        proxy.begin_black_hole()
        async with worker():
            await work.give()
            await work.until_done()
        proxy.end_black_hole()


async def test_where_one_of_two_servers_is_silent_all_goes_on_with_the_other(
    database_url: str,
    connection: Connection,
    commands: GroupCommit,
    worker: Worker,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a failover; `python -m tests.campaigns.failover` freezes a primary and promotes its standby."""
    monkeypatch.setitem(connections.KEEPALIVES, "connect_timeout", 2)
    url = both(proxy.url, database_url)
    async with CheckpointWatcher(url) as watcher, worker(url):
        work = Work(database_url, connection, commands, watcher)
        await work.give()
        await work.until_done()
        proxy.begin_black_hole()
        await work.give()
        await work.until_done()
        proxy.end_black_hole()


def both(first: str, second: str) -> str:
    """One URL for two servers, the first to be asked first."""
    parts, other = urlsplit(first), urlsplit(second)
    netloc = f"{parts.netloc},{other.hostname}:{other.port}"
    return urlunsplit(parts._replace(netloc=netloc, query="target_session_attrs=read-write"))
