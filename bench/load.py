"""Clients in a process of their own: wrk where it is installed, else a Python generator with the same requests."""

import json
import resource
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
GRACE_SECONDS = 30


class Load(NamedTuple):
    """What the clients saw. `refused` counts answers from status 400 on, `broken` lost connections and time-outs.

    `statuses` is empty where the clients were not asked to tell them apart, since that costs them time.
    `processor_seconds` are the clients' own, their start included.
    """

    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    refused: int
    broken: int
    statuses: dict[int, int]
    processor_seconds: float

    @property
    def accepted(self) -> int:
        """Answers below status 400."""
        return self.answers - self.refused

    @property
    def per_second(self) -> float:
        """Answers of any kind a second."""
        return self.answers / self.seconds


def request(
    method: str, url: str, path: str, token: str | None = None, body: object = None, headers: Iterable[str] = ()
) -> bytes:
    """One HTTP/1.1 request as it goes over the wire."""
    place = urlsplit(url)
    head = [f"{method} {path} HTTP/1.1", f"Host: {place.netloc}", "Accept: */*", *headers]
    if token is not None:
        head.append(f"Authorization: Bearer {token}")
    content = b""
    if body is not None:
        content = json.dumps(body).encode()
        head += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*head, "", ""]).encode() + content


def with_wrk(wrk: str, url: str, requests: Path, connections: int, seconds: float, by_status: bool) -> list[str]:
    """The command that loads with wrk, for whole seconds."""
    script, mode = str(HERE / "load.lua"), "by-status" if by_status else "together"
    bounds = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    return [wrk, *bounds, "-s", script, url, "--", str(requests), mode]


def in_python(url: str, requests: Path, connections: int, seconds: float, pace: float) -> list[str]:
    """The command that loads with our own generator."""
    return [sys.executable, "-m", "bench.python_load", url, str(requests), str(connections), str(seconds), str(pace)]


class Clients:
    """A running load generator."""

    def __init__(self, command: list[str], requests: Path, seconds: float) -> None:
        self._requests = requests
        self._seconds = seconds
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HERE.parent)

    def load(self) -> Load:
        """What they saw, once they are done. Raises RuntimeError when they failed or nothing was answered."""
        before = seconds_of_children()
        said, _ = self._process.communicate(timeout=self._seconds + GRACE_SECONDS)
        spent = seconds_of_children() - before
        self._requests.unlink()
        if self._process.returncode != 0:
            raise RuntimeError(f"the clients ended with {self._process.returncode}: {said.decode(errors='replace')}")
        told = json.loads(said.decode().strip().splitlines()[-1])
        told["statuses"] = {int(status): count for status, count in told["statuses"].items()}
        if not told["answers"]:
            raise RuntimeError("the clients got no answer at all")
        return Load(**told, processor_seconds=spent)


def seconds_of_children() -> float:
    """Processor time of all children that this process has waited for: between two calls, of those waited for there."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
