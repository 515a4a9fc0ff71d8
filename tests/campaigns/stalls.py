"""Has one process go silent in the middle of a rush, and tells how long another one had to wait for it.

`python -m tests.campaigns.stalls` in the project's environment: each stall on the oldest and the newest PostgreSQL of
this machine. Ends with 1 when a gap is longer than it may be: 3 s for a silent process, 10 s for any answer.
"""

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import psutil

from eventstore.errors import Failure
from eventstore.postgres.connections import Connection, connect
from eventstore.writing.group_commit import GroupCommit
from tests import box_office
from tests.eventstore.silent_process import silent_holder
from tests.fault_proxy import FaultProxy
from tixxety.embedded.binaries import look_into, system_folders, wheel_folders
from tixxety.embedded.server import EmbeddedPostgres
from tixxety.schema.migration import migrate

ROOT = Path(__file__).parents[2]
BUYERS, PAUSE_SECONDS = 4, 0.02
LONGEST_GAP_SECONDS, LONGEST_ANSWER_SECONDS = 3.0, 10.0
STALL_SECONDS, FROZEN_SECONDS = 6.0, 12.0
FREEZES = 5
# Until a stall begins, and what is looked at after it.
BEFORE_SECONDS, AFTER_SECONDS = 0.5, 4.0


class Gap(NamedTuple):
    """The longest time in which no reservation of an event was answered with success, and the slowest answer."""

    hot_seconds: float
    other_seconds: float
    answer_seconds: float


class Rush:
    """Buyers of a hot event and of another one, in this process; it knows when each was sold last."""

    def __init__(self, commands: GroupCommit, hot: UUID, other: UUID, account_id: UUID) -> None:
        self._commands = commands
        self._account_id = account_id
        self._events = (hot, other)
        self._sold_at = dict.fromkeys(self._events, time.monotonic())
        self._gaps = dict.fromkeys(self._events, 0.0)
        self._slowest = 0.0

    def gap(self) -> Gap:
        """The longest so far, a gap that still lasts included."""
        now = time.monotonic()
        hot, other = (max(self._gaps[i], now - self._sold_at[i]) for i in self._events)
        return Gap(hot, other, self._slowest)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """They buy for as long as the block."""
        buying = [asyncio.create_task(self._buy(event_id)) for event_id in self._events for _ in range(BUYERS)]
        try:
            yield
        finally:
            for task in buying:
                task.cancel()
            await asyncio.gather(*buying, return_exceptions=True)

    async def _buy(self, event_id: UUID) -> None:
        while True:
            asked_at = time.monotonic()
            with suppress(Failure):
                await self._commands.submit(box_office.reserve(event_id, self._account_id))
                now = time.monotonic()
                self._gaps[event_id] = max(self._gaps[event_id], now - self._sold_at[event_id])
                self._sold_at[event_id] = now
            self._slowest = max(self._slowest, time.monotonic() - asked_at)
            await asyncio.sleep(PAUSE_SECONDS)


class Scene(NamedTuple):
    """A server with two events on sale, and an account that may have any number of tickets."""

    database_url: str
    connection: Connection
    hot: UUID
    other: UUID
    account_id: UUID


Stall = Callable[[Scene], Awaitable[None]]


async def lasting(seconds: float = STALL_SECONDS) -> None:
    """For as long as a stall lasts."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


async def event_lock(scene: Scene) -> None:
    """Frozen between two trips, with the lock of the hot event."""
    async with silent_holder(scene.database_url, "between two trips", event_id=scene.hot):
        await lasting()


async def event_lock_in_a_trip(scene: Scene) -> None:
    """Frozen in the middle of a trip, with the lock of the hot event."""
    async with silent_holder(scene.database_url, "in the middle of a trip", event_id=scene.hot):
        await lasting()


async def position_lock(scene: Scene) -> None:
    """Frozen between two trips, with the lock of the positions."""
    async with silent_holder(scene.database_url, "between two trips"):
        await lasting()


async def position_lock_in_a_trip(scene: Scene) -> None:
    """Frozen in the middle of a trip, with the lock of the positions."""
    async with silent_holder(scene.database_url, "in the middle of a trip"):
        await lasting()


async def black_hole_before_commit(scene: Scene) -> None:
    """A COMMIT of another process never arrives; its connection is acknowledged and silent."""
    async with FaultProxy(scene.database_url) as proxy, GroupCommit(proxy.url) as silent:
        await silent.submit(box_office.reserve(scene.hot, scene.account_id))
        held = proxy.hold_before_commit()
        waiting = asyncio.create_task(silent.submit(box_office.reserve(scene.hot, scene.account_id)))
        await lasting()
        held.let_go.set()
        await asyncio.wait([waiting])


async def black_hole_after_commit(scene: Scene) -> None:
    """The answer to another process's COMMIT never arrives."""
    async with FaultProxy(scene.database_url) as proxy, GroupCommit(proxy.url) as silent:
        await silent.submit(box_office.reserve(scene.hot, scene.account_id))
        held = proxy.hold_after_commit()
        waiting = asyncio.create_task(silent.submit(box_office.reserve(scene.hot, scene.account_id)))
        await lasting()
        held.let_go.set()
        await asyncio.wait([waiting])


async def frozen_process(scene: Scene) -> None:
    """Another process that sells the same events is stopped at moments of chance."""
    arguments = ["-m", "tests.campaigns.stalls", "--sell", scene.database_url]
    arguments += [str(scene.hot), str(scene.other), str(scene.account_id)]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        for _ in range(FREEZES):
            await lasting(random.uniform(0.2, 0.6))
            process.send_signal(signal.SIGSTOP)
            await lasting(LONGEST_GAP_SECONDS + 0.5)
            process.send_signal(signal.SIGCONT)
    finally:
        process.kill()
        await process.wait()


async def frozen_server(scene: Scene) -> None:
    """The whole server is stopped."""
    postmaster = psutil.Process(scene.connection.info.backend_pid).parent()
    assert postmaster is not None
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        await lasting(FROZEN_SECONDS)
    finally:
        for process in processes:
            process.resume()


STALLS: dict[str, Stall] = {
    "frozen with an event's lock": event_lock,
    "frozen with an event's lock, in a trip": event_lock_in_a_trip,
    "frozen with the positions' lock": position_lock,
    "frozen with the positions' lock, in a trip": position_lock_in_a_trip,
    "black hole before COMMIT": black_hole_before_commit,
    "black hole after COMMIT": black_hole_after_commit,
    "frozen process, at random": frozen_process,
    "frozen server": frozen_server,
}


async def longest_gap(database_url: str, stall: Stall) -> tuple[Gap, list[str]]:
    """What one process had to wait while the stall lasted, and what is wrong with it."""
    async with await connect(database_url) as connection, GroupCommit(database_url) as commands:
        (account_id,) = await box_office.register(connection, 1)
        events = [box_office.create(account_id, capacity=10_000_000, max_per_buyer=10_000_000) for _ in range(2)]
        await box_office.submit_all(commands, events)
        hot, other = (event.event_id for event in events)
        rush = Rush(commands, hot, other, account_id)
        async with rush.going_on():
            await lasting(BEFORE_SECONDS)
            await stall(Scene(database_url, connection, hot, other, account_id))
            await lasting(AFTER_SECONDS)
            gap = rush.gap()
    wrong = []
    longest = LONGEST_GAP_SECONDS + (FROZEN_SECONDS if stall is frozen_server else 0)
    for what, seconds in (("the hot event", gap.hot_seconds), ("the other event", gap.other_seconds)):
        if seconds > longest:
            wrong.append(f"{what} stood still for {seconds:.1f} s")
    if gap.answer_seconds > LONGEST_ANSWER_SECONDS + 0.5:
        wrong.append(f"an answer took {gap.answer_seconds:.1f} s")
    return gap, wrong


def folders() -> dict[int, Path]:
    """The programs of the oldest and of the newest PostgreSQL here, by major version."""
    found = [binaries for folder in (*wheel_folders(), *system_folders()) if (binaries := look_into(folder))]
    by_major = {binaries.major: binaries.folder for binaries in reversed(found)}
    return {major: by_major[major] for major in sorted({min(by_major), max(by_major)})}


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A migrated server of these programs, for the block."""
    os.environ["TIXXETY_PG_BINDIR"] = str(folder)
    with tempfile.TemporaryDirectory(prefix="tixxety-stalls-") as home:
        postgres = EmbeddedPostgres(Path(home))
        try:
            url = postgres.start()
            migrate(url)
            yield url
        finally:
            postgres.discard()


async def sell(database_url: str, *ids: str) -> None:
    """What the process does that is going to be stopped."""
    hot, other, account_id = map(UUID, ids)
    async with GroupCommit(database_url) as commands, Rush(commands, hot, other, account_id).going_on():
        await commands.submit(box_office.reserve(hot, account_id))
        sys.stdout.write("selling\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Every stall on each server."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sell", nargs=4, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.sell:
        asyncio.run(sell(*chosen.sell))
    broken = False
    for major, folder in folders().items():
        with server(folder) as url:
            for name, stall in STALLS.items():
                gap, wrong = asyncio.run(longest_gap(url, stall))
                broken |= bool(wrong)
                told = "hot {:5.2f} s, other {:5.2f} s, slowest answer {:5.2f} s".format(*gap)
                sys.stdout.write(f"PostgreSQL {major}  {name:42}  {told}  {'; '.join(wrong)}\n")
                sys.stdout.flush()
    sys.exit(broken)


if __name__ == "__main__":
    main()
