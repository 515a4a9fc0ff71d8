"""`expire`: 10,000 holds that are due in one second, and a backlog of 100,000."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import uuid_utils.compat

from bench.comparison import Comparison, Goal, Measured, in_turn
from bench.context import Bench
from bench.filling import filling
from bench.scenarios.history.fold import runner_works
from bench.testbed import READY_SECONDS_MAX, Testbed, connect
from bench.waiting_until_quiet import until_folded
from domain.commands import ExpireReservation
from eventstore.writing.group_commit import GroupCommit
from tests.proof.proof import faults

OURS, SAME, LONE = "within one second", "at the same instant", "ten a second"
BACKLOG, ONE_BY_ONE = "tixxety", "one command a transaction"
DUE, OVERDUE, EVENTS, ONE_BY_ONE_COMMANDS = 10_000, 100_000, 20, 500
HOLD_SECONDS = 60
AHEAD_SECONDS = 2.0
EXPIRED_SECONDS_MAX = 120

LATE = """
SELECT extract(epoch FROM expired_at - hold_expires_at)::float8 * 1000 FROM reservations
WHERE status = 'expired' ORDER BY 1
"""
LEFT = "SELECT count(*) FROM reservations WHERE status = 'reserved'"
DUE_NOW = "SELECT event_id, reservation_id FROM reservations WHERE status = 'reserved' LIMIT %s"


def measure(bench: Bench) -> list[Comparison]:
    """Milliseconds late, and expired reservations a second."""
    testbed = bench.testbed
    due = bench.scaled(DUE)
    late = Comparison(
        f"expire: {due:,} holds that fall due", "ms late at p99", LONE, [Goal(OURS, None, 1_000.0, at_least=False)]
    )
    variants = {
        OURS: lambda: lateness(testbed, due, timedelta(seconds=1) / due),
        SAME: lambda: lateness(testbed, due, timedelta(0)),
        LONE: lambda: lateness(testbed, min(20, due), timedelta(milliseconds=100)),
    }
    in_turn(late, variants, bench.few, bench.dice)
    late.faults_of_history = []  # each run has looked through its own
    backlog = Comparison(f"expire: a backlog of {bench.scaled(OVERDUE):,}", "expired/s", ONE_BY_ONE)
    pair = {
        BACKLOG: lambda: swept(testbed, bench.scaled(OVERDUE)),
        ONE_BY_ONE: lambda: asyncio.run(expired_one_by_one(testbed, bench.scaled(ONE_BY_ONE_COMMANDS))),
    }
    in_turn(backlog, pair, 1, bench.dice)
    return [late, backlog]


def fill(database_url: str, holds: int, due_at: datetime, apart: timedelta) -> None:
    """Holds of several events: all due at the same instant, or one after the other."""
    placed_at = due_at - timedelta(seconds=HOLD_SECONDS)
    with filling(database_url) as filled:
        events = [filled.open_event(placed_at, hold_seconds=HOLD_SECONDS) for _ in range(EVENTS)]
        for number in range(holds):
            filled.reserve(events[number % EVENTS], uuid4(), placed_at + number * apart)


def lateness(testbed: Testbed, holds: int, apart: timedelta) -> Measured:
    """How late they are expired by a worker that was there before they fell due."""
    database_url = testbed.database()
    with testbed.worker(database_url):
        until_worker_works(database_url)
        # Filling takes about 30 us a hold; then they have to be folded before they fall due.
        due_at = datetime.now(UTC) + timedelta(seconds=AHEAD_SECONDS + holds / 10_000)
        fill(database_url, holds, due_at, apart)
        until_expired(database_url)
        measured = told(database_url, holds)
    testbed.drop(database_url)
    return measured


def swept(testbed: Testbed, holds: int) -> Measured:
    """How fast a worker that was away takes back what fell due meanwhile."""
    database_url = testbed.database()
    fill(database_url, holds, datetime.now(UTC) - timedelta(minutes=5), timedelta(0))
    with testbed.worker(database_url):
        until_folded(database_url)
        began = time.monotonic()
        with connect(database_url) as connection:
            ((left,),) = connection.execute(LEFT).fetchall()
        until_expired(database_url)
        seconds = time.monotonic() - began
    measured = told(database_url, holds)
    testbed.drop(database_url)
    return measured._replace(figure=left / seconds, seen={"seconds": seconds})


def told(database_url: str, holds: int) -> Measured:
    """The slowest hundredth, and whatever is wrong: an early one, a missing one, a broken rule."""
    with connect(database_url) as connection:
        late_ms = [row[0] for row in connection.execute(LATE)]
    found = faults(database_url)
    if len(late_ms) != holds:
        found.append(f"{len(late_ms)} of {holds} expired")
    if late_ms[0] < 0:
        found.append(f"one expired {-late_ms[0]} ms early")
    seen = {"p50_ms": late_ms[len(late_ms) // 2], "most_ms": late_ms[-1]}
    return Measured(late_ms[len(late_ms) * 99 // 100], seen, found)


def until_worker_works(database_url: str) -> None:
    """Wait until a worker that has just been started is there, or what falls due meanwhile would tell how it starts."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    with connect(database_url) as connection:
        connection.autocommit = True
        while not runner_works(connection):
            if time.monotonic() > deadline:
                raise RuntimeError(f"no worker works after {READY_SECONDS_MAX} s")
            connection.execute("SELECT pg_sleep(0.02)")


def until_expired(database_url: str) -> None:
    """Wait until no hold is left, and all of that is folded."""
    deadline = time.monotonic() + EXPIRED_SECONDS_MAX
    with connect(database_url) as connection:
        connection.autocommit = True
        while True:
            until_folded(database_url)
            if connection.execute(LEFT).fetchone() == (0,):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"holds are left after {EXPIRED_SECONDS_MAX} s")
            connection.execute("SELECT pg_sleep(0.02)")


async def expired_one_by_one(testbed: Testbed, holds: int) -> Measured:
    """The same commands, each in a transaction of its own."""
    database_url = testbed.database()
    fill(database_url, holds, datetime.now(UTC) - timedelta(minutes=5), timedelta(0))
    with testbed.worker(database_url):
        until_folded(database_url)
    with connect(database_url) as connection:
        due: list[tuple[UUID, UUID]] = connection.execute(DUE_NOW, (holds,)).fetchall()
    began = time.monotonic()
    async with GroupCommit(database_url, group_commands=1) as commands:
        for event_id, reservation_id in due:
            request_id = uuid_utils.compat.uuid7()
            await commands.submit(
                ExpireReservation(event_id=event_id, reservation_id=reservation_id, request_id=request_id)
            )
    seconds = time.monotonic() - began
    testbed.drop(database_url)
    return Measured(len(due) / seconds, {"seconds": seconds}, [])
