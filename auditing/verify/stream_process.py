"""The streams judged in a process of their own, while this one judges everything else."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from typing import NamedTuple

import psycopg

from auditing.findings import Finding, Findings
from auditing.verify.errors import StreamsUnread
from auditing.verify.garbage_collection import sparing_collector
from eventstore.errors import Failure


class Found(NamedTuple):
    """What the other process has found."""

    kept: list[Finding]
    total: int


class StreamProcess:
    """A process that judges the streams; it tells how far it is, and at the end what it has found."""

    def __init__(self, pipe: Pipe) -> None:
        self.rows = 0
        self._pipe = pipe
        self._found: Found | None = None

    def look(self) -> None:
        """Take the messages that have arrived, without waiting."""
        while self._found is None and self._pipe.poll():
            self._hear()

    async def ended(self, on_progress: Callable[[], None], findings: Findings) -> None:
        """Wait for the end and take over the findings. Raises `StreamsUnread`."""
        while self._found is None:
            await asyncio.to_thread(self._hear)
            on_progress()
        findings.take(*self._found)

    def wait(self, on_progress: Callable[[], None], findings: Findings) -> None:
        """The same where nothing else has to go on meanwhile."""
        while self._found is None:
            self._hear()
            on_progress()
        findings.take(*self._found)

    def _hear(self) -> None:
        try:
            match self._pipe.recv():
                case int(rows):
                    self.rows = rows
                case Found() as found:
                    self._found = found
                case str(reason):
                    raise StreamsUnread(reason)
        except EOFError:
            raise StreamsUnread from None


@contextmanager
def stream_process(judge: Callable[..., None], *arguments: object) -> Iterator[StreamProcess]:
    """Start the process, which calls `judge(findings, tell, *arguments)` and ends, or else with the block.

    `tell` is for the number of domain events judged by now.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_judge, args=(theirs, judge, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield StreamProcess(ours)
    finally:
        process.terminate()
        process.join()
        ours.close()


def _judge(pipe: Pipe, judge: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """What the other process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    findings = Findings()
    try:
        with sparing_collector():
            judge(findings, pipe.send, *arguments)
    except BrokenPipeError:
        # Whoever asked has died.
        return
    except (psycopg.Error, Failure) as error:
        pipe.send(" ".join(str(error).split()))
    else:
        pipe.send(Found(findings.kept, findings.count))
