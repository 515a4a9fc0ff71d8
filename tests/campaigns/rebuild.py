"""Rebuilds again and again under a rush and 200 queries a second: none may fail, and none may go back in time.

`python -m tests.campaigns.rebuild --rounds 20 --seed 1` in the project's environment; ends with 1 at the first fault.
Of the rebuilds some are killed with -9 on their way, and the next one goes on.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2

from bench.scenarios.history.fold import fill
from eventstore.postgres.connections import Connection, connect
from projections import checkpoint
from tests.projections.waiting import until_folded
from tests.proof.proof import faults
from tests.running import ROOT, free_port, running, until_ready

DOMAIN_EVENTS = 100_000
PACE_SECONDS = 0.012
POSITIONS = "SELECT c.position, (SELECT max(position) FROM audit_trail) FROM checkpoint c"
PAUSE = "SELECT pg_sleep(0.005)"
LAST = "SELECT coalesce(max(position), 0) FROM audit_trail"


class Watch:
    """Readers and buyers, 200 queries a second together; what goes wrong, and how long the slowest waited."""

    def __init__(self, api_url: str, database_url: str) -> None:
        self.over = asyncio.Event()
        self.queries = 0
        self.slowest_seconds = 0.0
        self.wrong: list[str] = []
        self._api_url = api_url
        self._database_url = database_url

    async def run(self, while_it_runs: Callable[[], Awaitable[None]]) -> None:
        """All of them for as long as `while_it_runs` takes."""
        watching = [
            self._statements("auto"),
            self._statements("force_generic_plan"),
            self._transactions(),
            self._buyer(),
        ]
        tasks = [asyncio.create_task(self._noting(each)) for each in watching]
        try:
            await while_it_runs()
        finally:
            self.over.set()
            await asyncio.gather(*tasks)

    async def _noting(self, watching: Awaitable[None]) -> None:
        try:
            await watching
        except Exception as error:
            self.wrong.append(repr(error))

    async def _paced(self, query: Callable[[], Awaitable[None]]) -> None:
        while not self.over.is_set():
            began = time.monotonic()
            await query()
            took = time.monotonic() - began
            self.queries += 1
            self.slowest_seconds = max(self.slowest_seconds, took)
            await asyncio.sleep(max(0.0, PACE_SECONDS - took))

    async def _statements(self, plan: str) -> None:
        """Prepared single statements: every table of one moment, and no moment before the last one seen."""
        seen = 0
        async with await connect(self._database_url, plan_cache_mode=plan) as connection:

            async def look() -> None:
                nonlocal seen
                position, last = await numbers(connection, POSITIONS)
                if position != last or position < seen:
                    self.wrong.append(f"{plan}: checkpoint {position}, rows up to {last}, after {seen} was seen")
                seen = position

            await self._paced(look)

    async def _transactions(self) -> None:
        """Transactions of one snapshot, with a pause before each query: a swap may come in between."""
        seen = 0
        settings = {"default_transaction_isolation": "repeatable read"}
        async with await connect(self._database_url, **settings) as connection:

            async def look() -> None:
                nonlocal seen
                async with connection.transaction():
                    await connection.execute(PAUSE)
                    (last,) = await numbers(connection, LAST)
                    await connection.execute(PAUSE)
                    position = (await checkpoint.read(connection)).position
                if position != last or position < seen:
                    self.wrong.append(f"a transaction saw {last} and {position}, after {seen} was seen")
                seen = position

            await self._paced(look)

    async def _buyer(self) -> None:
        """Reserves over the API and reads it back: it is there, as it was answered, at the position it was answered."""
        async with httpx2.AsyncClient(base_url=self._api_url, timeout=10) as client:
            email, password = f"{uuid4().hex}@example.org", "correct horse battery"
            await client.post("/auth/register", json={"email": email, "password": password, "name": "Buyer"})

            async def log_in() -> None:
                answer = await client.post("/auth/login", data={"username": email, "password": password})
                client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

            await log_in()
            event_id = (await client.post("/events", json=some_event())).json()["id"]

            async def buy() -> None:
                reserved = await client.post("/reservations", json={"event_id": event_id})
                if reserved.status_code == 401:
                    await log_in()
                    return
                path = reserved.headers["location"]
                found = await client.get(path)
                if (reserved.status_code, found.status_code) != (201, 200) or found.json() != reserved.json():
                    self.wrong.append(f"{path}: {reserved.text} and then {found.status_code} {found.text}")

            await self._paced(buy)


def some_event() -> dict[str, Any]:
    starts_at = datetime.now(UTC) + timedelta(days=30)
    return {
        "title": f"Rebuilt {uuid4().hex}",
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(hours=2)).isoformat(),
        "total_tickets": 1_000_000,
        "max_per_buyer": 1_000_000,
        "hold_seconds": 3_600,
    }


async def numbers(connection: Connection, query: str) -> list[int]:
    row = await (await connection.execute(query.encode())).fetchone()
    return list(row or ())


async def rebuild_once(home: Path, dice: random.Random) -> str:
    """One `tixxety rebuild`, of every third one killed on its way; what it said. Raises where it failed."""
    command = [sys.executable, "-m", "tixxety", "rebuild", "--home", str(home), "--json"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TIXXETY_NO_VENV": "1"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    if dice.random() < 1 / 3:
        try:
            await asyncio.wait_for(process.wait(), dice.uniform(0.5, 6))
        except TimeoutError:
            process.kill()
            await process.communicate()
            return "killed"
    out, said = await process.communicate()
    if process.returncode != 0:
        raise AssertionError(said.decode())
    done = json.loads(out)
    if done["differences"] or done["stale_views"]:
        raise AssertionError(out.decode())
    return f"swapped at {done['position']} in {done['seconds']} s, resumed at {done['resumed_at']}"


async def campaign(home: Path, url: str, rounds: int, dice: random.Random) -> bool:
    """All rounds on one box office; whether nothing went wrong."""
    database_url = json.loads((home / "server.json").read_text())["url"]
    async with await connect(database_url) as connection:
        await until_folded(connection)
    watch = Watch(url, database_url)

    async def rebuild_often() -> None:
        for number in range(1, rounds + 1):
            began, queries = time.monotonic(), watch.queries
            told = await rebuild_once(home, dice)
            rate = (watch.queries - queries) / (time.monotonic() - began)
            slowest_ms = watch.slowest_seconds * 1e3
            sys.stdout.write(f"round {number}: {told}; {rate:.0f} queries/s, slowest so far {slowest_ms:.0f} ms\n")
            sys.stdout.flush()
            if watch.wrong:
                return

    await watch.run(rebuild_often)
    found = watch.wrong or faults(database_url)
    sys.stdout.write(f"{watch.queries} queries; faults: {found[:5]}\n")
    return not found


def main() -> None:
    """One box office, filled, rushed and rebuilt."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=10)
    options.add_argument("--domain-events", type=int, default=DOMAIN_EVENTS)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randint(0, 2**32))
    chosen = options.parse_args()
    sys.stdout.write(f"seed {chosen.seed}\n")
    with tempfile.TemporaryDirectory(prefix="tixxety-rebuild-") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder) / "home"
        home.mkdir(mode=0o711)
        port, log = free_port(), Path(folder) / "up.log"
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "tixxety", "up", "--home", str(home), "--port", str(port)]
        with running(command, {"HOME": str(home), "TIXXETY_NO_VENV": "1"}, log) as process:
            until_ready(f"{url}/health/ready", (process, log))
            fill(json.loads((home / "server.json").read_text())["url"], chosen.domain_events)
            until_ready(f"{url}/health/ready", (process, log))
            if not asyncio.run(campaign(home, url, chosen.rounds, random.Random(chosen.seed))):
                sys.stdout.write(log.read_text()[-3_000:])
                sys.exit(1)


if __name__ == "__main__":
    main()
