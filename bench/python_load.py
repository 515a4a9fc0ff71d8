"""The load generator in Python: `python -m bench.python_load URL FILE CONNECTIONS SECONDS PACE`, a line of JSON out."""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

# A busy machine may answer nobody while the run lasts, and some only after it.
FIRST_ANSWER_SECONDS_MAX = 10.0
LAST_ANSWERS_SECONDS_MAX = 10.0
LOOK_SECONDS = 0.005


class Client(asyncio.Protocol):
    """One connection: sends the next request once the last one is answered, and notes how long that took."""

    def __init__(self, crowd: "Crowd") -> None:
        self.crowd = crowd
        self.transport: asyncio.Transport | None = None
        self.asked_at_seconds = 0.0
        self.is_waiting = False
        self.is_kept = True
        self.parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.crowd.ready(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_headers_complete(self) -> None:
        self.is_kept = self.parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self.is_waiting = False
        self.crowd.note(self.parser.get_status_code(), time.perf_counter() - self.asked_at_seconds)
        self.parser = httptools.HttpResponseParser(self)
        if self.is_kept:
            self.crowd.ready(self)
        elif self.transport is not None:
            self.transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.crowd.lost(self)

    def ask(self, request: bytes, due_at_seconds: float) -> None:
        """Send one request, whose time counts from when it was due."""
        if self.transport is not None:
            self.asked_at_seconds = due_at_seconds
            self.is_waiting = True
            self.transport.write(request)


class Crowd:
    """All connections together, and what they saw."""

    def __init__(self, requests: list[bytes], pace: float) -> None:
        self.requests = cycle(requests)
        self.pace = pace
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.broken = 0
        self.is_over = False
        self.idle: list[Client] = []
        self.overdue: deque[float] = deque()
        self.clients: set[Client] = set()
        self.connecting: set[asyncio.Task[tuple[asyncio.Transport, Client]]] = set()

    async def run(self, host: str, port: int, connections: int, seconds: float) -> float:
        """Ask for so long, or until the first answer where that comes later; returns how long it was.

        What is asked by then is still answered, so that nothing is under way when this has returned. At a pace, all
        that was due counts, or the slowest would be left out; else what is answered after the end does not.
        """
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        for _ in range(connections):
            await loop.create_connection(self._client, host, port)
        pacing = asyncio.create_task(self._keep_pace()) if self.pace else None
        await asyncio.sleep(seconds)
        await until(lambda: bool(self.seconds), FIRST_ANSWER_SECONDS_MAX)
        took = time.perf_counter() - began
        if pacing:
            pacing.cancel()
            await until(self._has_answers, LAST_ANSWERS_SECONDS_MAX)
            self.broken += len(self.overdue) + sum(client.is_waiting for client in self.clients)
        self.is_over = True
        await until(self._has_answers, LAST_ANSWERS_SECONDS_MAX)
        for client in self.clients:
            if client.transport is not None:
                client.transport.abort()
        return took

    def _has_answers(self) -> bool:
        return not self.overdue and not any(client.is_waiting for client in self.clients)

    def _client(self) -> Client:
        client = Client(self)
        self.clients.add(client)
        return client

    async def _keep_pace(self) -> None:
        due_at_seconds = time.perf_counter()
        while True:
            due_at_seconds += 1 / self.pace
            await asyncio.sleep(due_at_seconds - time.perf_counter())
            if self.idle:
                self.idle.pop().ask(next(self.requests), due_at_seconds)
            else:
                self.overdue.append(due_at_seconds)

    def ready(self, client: Client) -> None:
        """The connection can ask again."""
        if self.is_over:
            return
        if not self.pace:
            client.ask(next(self.requests), time.perf_counter())
        elif self.overdue:
            client.ask(next(self.requests), self.overdue.popleft())
        else:
            self.idle.append(client)

    def note(self, status: int, seconds: float) -> None:
        """One more answer."""
        if not self.is_over:
            self.statuses[status] += 1
            self.seconds.append(seconds)

    def lost(self, client: Client) -> None:
        """A connection is gone; one that waited for an answer was broken. Another takes its place."""
        self.clients.discard(client)
        if self.is_over:
            return
        self.broken += client.is_waiting
        if client.transport is not None:
            host, port = client.transport.get_extra_info("peername")[:2]
            connecting = asyncio.get_running_loop().create_connection(self._client, host, port)
            self.connecting.add(task := asyncio.ensure_future(connecting))
            task.add_done_callback(self.connecting.discard)


async def until(is_so: Callable[[], bool], seconds_max: float) -> None:
    """Wait until it is so, or no longer than that."""
    for _ in range(round(seconds_max / LOOK_SECONDS)):
        if is_so():
            return
        await asyncio.sleep(LOOK_SECONDS)


def main() -> None:
    """Run a crowd and print what it saw."""
    url, file, connections, seconds, pace = sys.argv[1:]
    place = urlsplit(url)
    crowd = Crowd(Path(file).read_bytes().split(b"\0"), float(pace))
    took = uvloop.run(crowd.run(place.hostname or "", place.port or 80, int(connections), float(seconds)))
    ordered = sorted(crowd.seconds) or [0.0]
    told = {
        "answers": sum(crowd.statuses.values()),
        "seconds": took,
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1e3,
        "p999_ms": ordered[len(ordered) * 999 // 1000] * 1e3,
        "refused": sum(count for status, count in crowd.statuses.items() if status >= 400),
        "broken": crowd.broken,
        "statuses": crowd.statuses,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
