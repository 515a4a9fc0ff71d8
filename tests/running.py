"""Runs the project's own processes for a test, as its users would, and ends them with it."""

import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Protocol

import httpx2

from tixxety.processes.child_process import TiedProcess

ROOT = Path(__file__).parent.parent
READY_SECONDS_MAX = 60
# To load the certificates of the world takes 60 ms of processor, and nobody here speaks TLS.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# With this Python as `python3`: what a version manager puts there may start a shell first, each time.
THE_PATH = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


class Ending(Protocol):
    """A process that may end."""

    def ends_within(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it came."""
        ...


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path = ROOT
) -> Iterator[TiedProcess]:
    """A process with exactly this environment (and PATH), ended with the block; all it says goes to `log`."""
    with log.open("wb") as output:
        process = TiedProcess(
            command,
            when_orphaned=signal.SIGKILL,
            cwd=folder,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.stop((signal.SIGTERM, 20.0))


@cache
def http() -> httpx2.Client:
    """For single requests to processes that a test may have killed since the one before: each has its connection."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.Client(timeout=30, limits=limits, verify=NO_CERTIFICATES)


def until_ready(url: str, *processes: tuple[Ending, Path]) -> None:
    """Wait until a GET of `url` answers 200. Fails when a process ends before that, or after a minute."""
    answer = "nothing"
    for _ in range(READY_SECONDS_MAX * 10):
        try:
            response = http().get(url, timeout=5)
            answer = f"{response.status_code} {response.text}"
            if response.status_code == 200:
                return
        except httpx2.TransportError as away:
            answer = repr(away)
        for process, log in processes:
            if process.ends_within(0.1 / len(processes)):
                raise AssertionError(f"a process ended before {url} was ready: {log.read_text()[-3000:]}")
    raise AssertionError(f"{url} says {answer}; {[log.read_text()[-2000:] for _, log in processes]}")


def free_port() -> int:
    """A port of this machine where nobody listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
