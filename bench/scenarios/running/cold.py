"""`cold`: a process's first request for an event with 100,000 reservations."""

import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx2

from bench.comparison import Comparison, Measure, Measured, in_turn
from bench.context import Bench
from bench.filling import filling
from bench.testbed import connect
from bench.waiting_until_quiet import until_folded
from tests.proof.proof import faults

SNAPSHOT, TAIL, EMPTY = "from its snapshot", "from its whole stream", "an event just on sale"
RESERVATIONS = 100_000
SNAPSHOT_SECONDS_MAX = 60

TAKEN = "SELECT originator_version FROM snapshots WHERE originator_id = %s"
FORGET = "DELETE FROM snapshots"


def measure(bench: Bench) -> list[Comparison]:
    """Milliseconds until the first answer."""
    testbed = bench.testbed
    database_url = testbed.database()
    now = datetime.now(UTC)
    with filling(database_url) as filled:
        empty, aged = filled.open_event(now), filled.open_event(now)
        for _ in range(bench.scaled(RESERVATIONS)):
            filled.reserve(aged, uuid4(), now)

    def first_request(event_id: UUID, *, snapshot: bool) -> Measure:
        def measured() -> Measured:
            if snapshot:
                until_snapshot(bench, database_url, event_id)
            with testbed.api(database_url) as url:
                headers = {"Authorization": f"Bearer {testbed.tokens[0]}"}
                # Not the process's very first request, only the first one for this event.
                httpx2.get(f"{url}/auth/me", headers=headers)
                began = time.perf_counter()
                answer = httpx2.post(
                    f"{url}/reservations", json={"event_id": str(event_id)}, headers=headers, timeout=120
                )
                milliseconds = (time.perf_counter() - began) * 1e3
            with connect(database_url) as connection:
                connection.execute(FORGET)
            return Measured(milliseconds, {"status": answer.status_code}, [])

        return measured

    variants = {
        SNAPSHOT: first_request(aged.id, snapshot=True),
        TAIL: first_request(aged.id, snapshot=False),
        EMPTY: first_request(empty.id, snapshot=False),
    }
    comparison = Comparison(f"cold: {bench.scaled(RESERVATIONS):,} reservations", "ms to the first answer", EMPTY)
    in_turn(comparison, variants, bench.few, bench.dice)
    with testbed.worker(database_url):
        until_folded(database_url)
    comparison.faults_of_history = faults(database_url)
    testbed.drop(database_url)
    return [comparison]


def until_snapshot(bench: Bench, database_url: str, event_id: UUID) -> None:
    """Let a worker take one."""
    if bench.scaled(RESERVATIONS) < RESERVATIONS:
        return
    deadline = time.monotonic() + SNAPSHOT_SECONDS_MAX
    with bench.testbed.worker(database_url), connect(database_url) as connection:
        connection.autocommit = True
        while connection.execute(TAKEN, (event_id,)).fetchone() is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no snapshot within {SNAPSHOT_SECONDS_MAX} s")
            connection.execute("SELECT pg_sleep(0.05)")
