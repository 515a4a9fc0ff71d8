"""Kills a process with -9 in the middle of a rush, and proves that nothing acknowledged was lost or doubled.

`python -m tests.campaigns.crash --rounds 20 --seed 1` in the project's environment; ends with 1 at the first fault.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import psycopg

from tests.proof.proof import faults
from tests.running import free_port, running, until_ready

VICTIMS = ("api", "worker", "postgres", "up")
BUYERS = 16
PURCHASES = 60
ANSWER_SECONDS_MAX = 60

RECORDED = "SELECT originator_id::text FROM tixxety.stored_events WHERE topic = %s"
DOUBLED_KEYS = """
SELECT state -> 'idempotency' ->> 'key_sha256' FROM tixxety.history
WHERE type IN ('ReservationPlaced', 'ReservationPaid') AND state ? 'idempotency'
GROUP BY 1 HAVING count(*) > 1
"""


class Rush:
    """Buyers who reserve, pay and cancel as fast as they are answered, and write down what they were told."""

    def __init__(self, url: str, dice: random.Random, buyers: int, purchases: int) -> None:
        self.url = url
        self.dice = dice
        self.buyers = buyers
        self.purchases = purchases
        self.over = asyncio.Event()
        self.progress = asyncio.Condition()
        self.tried = 0
        self.placed: set[str] = set()
        self.paid: set[str] = set()
        self.cancelled: set[str] = set()
        self.refused = 0
        self.wrong: list[str] = []
        self.event_ids: list[str] = []

    async def run(self, *while_it_runs: Callable[[], Awaitable[None]]) -> None:
        """Open the events, let the buyers loose, do one thing after the other, and wait for their last answers.

        Before each thing, and after the last, come some purchases.
        """
        async with httpx2.AsyncClient(base_url=self.url, timeout=10) as client:
            buyers = await asyncio.gather(*(self._account(client) for _ in range(self.buyers)))
            for tickets in (40, 1_000_000):
                self.event_ids.append(await self._event(client, buyers[0], tickets))
            shopping = [asyncio.create_task(self._shop(client, buyer)) for buyer in buyers]
            watching = asyncio.create_task(self._watch(*while_it_runs))
            await asyncio.gather(watching, *shopping)

    async def _watch(self, *while_it_runs: Callable[[], Awaitable[None]]) -> None:
        await self._until_tried(self.purchases)
        for do in while_it_runs:
            await do()
            await self._until_tried(self.tried + self.purchases)
        self.over.set()

    async def _until_tried(self, purchases: int) -> None:
        """Wait for so many purchases to have been answered; each answer is bounded in time."""
        async with self.progress:
            await self.progress.wait_for(lambda: self.tried >= purchases)

    async def _account(self, client: httpx2.AsyncClient) -> dict[str, str]:
        email, password = f"{uuid4().hex}@example.org", "correct horse battery"
        await self._answer(client, "/auth/register", json={"email": email, "password": password, "name": "Buyer"})
        answer = await self._answer(client, "/auth/login", data={"username": email, "password": password})
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def _event(self, client: httpx2.AsyncClient, organiser: dict[str, str], tickets: int) -> str:
        starts_at = datetime.now(UTC) + timedelta(days=30)
        event = {
            "title": f"Rush {uuid4().hex}",
            "starts_at": starts_at.isoformat(),
            "ends_at": (starts_at + timedelta(hours=2)).isoformat(),
            "total_tickets": tickets,
            "max_per_buyer": 1_000_000,
            "hold_seconds": 1,
        }
        answer = await self._answer(client, "/events", json=event, headers=organiser)
        return str(answer.json()["id"])

    async def _shop(self, client: httpx2.AsyncClient, buyer: dict[str, str]) -> None:
        while not self.over.is_set():
            async with self.progress:
                self.tried += 1
                self.progress.notify_all()
            key = {"Idempotency-Key": uuid4().hex}
            wish = {"event_id": self.dice.choice(self.event_ids), "quantity": self.dice.randint(1, 3)}
            answer = await self._answer(client, "/reservations", json=wish, headers=buyer | key)
            if answer.status_code != 201:
                self._refusal(answer)
                continue
            reservation_id = answer.json()["id"]
            self.placed.add(reservation_id)
            again = await self._answer(client, "/reservations", json=wish, headers=buyer | key)
            if again.status_code != 201 or again.json() != answer.json():
                self.wrong.append(f"the same key was answered {answer.text} and then {again.text}")
            for verb, told in (("pay", self.paid), ("cancel", self.cancelled)):
                if self.dice.random() < 0.5:
                    path = f"/reservations/{reservation_id}/{verb}"
                    answer = await self._answer(client, path, json={}, headers=buyer | {"Idempotency-Key": uuid4().hex})
                    if answer.status_code == 200:
                        told.add(reservation_id)
                    else:
                        self._refusal(answer)

    async def _answer(self, client: httpx2.AsyncClient, path: str, **request: Any) -> httpx2.Response:
        """Ask until there is an answer that is not about the box office being away."""
        deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS_MAX
        while True:
            try:
                answer = await client.post(path, **request)
                if answer.status_code != 503:
                    return answer
            except httpx2.TransportError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise AssertionError(f"{path} was not answered in {ANSWER_SECONDS_MAX} s") from error
            await asyncio.sleep(0.05)

    def _refusal(self, answer: httpx2.Response) -> None:
        self.refused += 1
        if answer.status_code not in (409, 422):
            self.wrong.append(f"{answer.request.url.path} was answered {answer.status_code} {answer.text}")


def children_of(pid: int) -> dict[int, str]:
    """The processes that a process has started, with their command lines."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if parent == pid:
            found[int(entry.name)] = command
    return found


async def victim_pid(up_pid: int, victim: str) -> int:
    """The process of `up` that plays this part, once it is there: it may have ended with the victim before."""
    if victim == "up":
        return up_pid
    mark = {"api": " serve", "worker": " worker", "postgres": "postgres -D"}[victim]
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        while True:
            for pid, command in children_of(up_pid).items():
                if mark in command:
                    return pid
            await asyncio.sleep(0.05)


def faults_after(rush: Rush, database_url: str) -> list[str]:
    """What the buyers were told against what is recorded, and the history against its rules and projections."""
    found = list(rush.wrong)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for told, topic in (
            (rush.placed, "ReservationPlaced"),
            (rush.paid, "ReservationPaid"),
            (rush.cancelled, "ReservationCancelled"),
        ):
            recorded = {row[0] for row in connection.execute(RECORDED, (topic,))}
            if lost := told - recorded:
                found.append(f"{len(lost)} acknowledged, but no {topic} in the history: {sorted(lost)[:3]}")
        if doubled := connection.execute(DOUBLED_KEYS).fetchall():
            found.append(f"{len(doubled)} keys were recorded more than once")
    return found + faults(database_url)


def one_round(
    home: Path, victims: Sequence[str], dice: random.Random, buyers: int = BUYERS, purchases: int = PURCHASES
) -> tuple[Rush, list[str]]:
    """One rush in which the victims are killed in turn, `up` last, on the home's box office, which is then stopped."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tixxety", "up", "--home", str(home), "--port", str(port)]
    environment = {"HOME": str(home), "TIXXETY_NO_VENV": "1"}
    log = home.parent / f"up-{port}.log"
    with running(command, environment, log) as first:
        until_ready(f"{url}/health/ready", (first, log))

        killed = asyncio.Event()

        def killing(victim: str) -> Callable[[], Awaitable[None]]:
            async def kill() -> None:
                os.kill(await victim_pid(first.pid, victim), signal.SIGKILL)
                if victim == "up":
                    killed.set()

            return kill

        rush = Rush(url, dice, buyers, purchases)
        rushing_on = rush.run(*map(killing, victims))
        if "up" not in victims:
            asyncio.run(rushing_on)
            until_ready(f"{url}/health/ready", (first, log))
            return rush, settled_faults(rush, home)

        # The second `up` has to be started from this thread, so the rush waits for it in a loop of its own.
        loop = asyncio.new_event_loop()
        try:
            rushing = loop.create_task(rushing_on)
            rushing.add_done_callback(lambda _: killed.set())
            loop.run_until_complete(killed.wait())
            with running(command, environment, log.with_suffix(".2.log")) as second:
                loop.run_until_complete(rushing)
                until_ready(f"{url}/health/ready", (second, log.with_suffix(".2.log")))
                return rush, settled_faults(rush, home)
        finally:
            loop.close()


def settled_faults(rush: Rush, home: Path) -> list[str]:
    """The faults, read while the server of the home still runs."""
    note = json.loads((home / "server.json").read_text())
    return faults_after(rush, note["url"])


def main() -> None:
    """Round after round, each with the next kind of victim."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=len(VICTIMS))
    options.add_argument("--seed", type=int, default=random.SystemRandom().randint(0, 2**32))
    chosen = options.parse_args()
    dice = random.Random(chosen.seed)
    sys.stdout.write(f"seed {chosen.seed}\n")
    with tempfile.TemporaryDirectory(prefix="tixxety-crash-") as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o711)
        Path(folder).chmod(0o711)
        for number in range(chosen.rounds):
            victim = VICTIMS[number % len(VICTIMS)]
            rush, found = one_round(home, [victim], dice)
            told = f"{len(rush.placed)} placed, {len(rush.paid)} paid, {len(rush.cancelled)} cancelled"
            sys.stdout.write(f"round {number + 1}: killed {victim}; {told}, {rush.refused} refused; faults: {found}\n")
            sys.stdout.flush()
            if found:
                sys.exit(1)


if __name__ == "__main__":
    main()
