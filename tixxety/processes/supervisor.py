"""Keeps services alive: restarts the dead with growing pauses, gives up when that does not help, stops all in order."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tixxety.errors import Failure
from tixxety.processes.child_process import TiedProcess
from tixxety.terminal.say import say

DEATHS_MAX = 5
DEATHS_WITHIN_SECONDS = 60.0
PAUSE_SECONDS_FIRST = 0.1
PAUSE_SECONDS_MAX = 5.0
GRACE_SECONDS = 8.0
TICK_SECONDS = 0.1


class Service(Protocol):
    """Something that runs, may die and can be started again."""

    name: str

    def is_alive(self) -> bool:
        """Whether it runs."""

    def can_restart(self) -> bool:
        """Whether a start has a chance, because what it needs is there."""

    def restart(self) -> None:
        """Start it after it died. May raise Failure, which counts as another death."""

    def last_words(self) -> str:
        """What it said last, for the person who has to find out why it dies."""


class Program:
    """A process of ours whose output goes through to standard error; each start asks for its environment anew."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Callable[[], Mapping[str, str]],
        pass_fds: Sequence[int] = (),
        can_restart: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = environment
        self.pass_fds = tuple(pass_fds)
        self.can_restart = can_restart
        self.process: TiedProcess | None = None
        self._said: deque[str] = deque(maxlen=20)
        self._forwarder: threading.Thread | None = None

    def restart(self) -> None:
        """Start the process; for the first time as well."""
        self._said.clear()
        self.process = TiedProcess(
            self.command,
            when_orphaned=signal.SIGKILL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(self.environment()),
            pass_fds=self.pass_fds,
        )
        self._forwarder = threading.Thread(target=self._forward, args=(self.process.process,), daemon=True)
        self._forwarder.start()

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.is_alive()

    def last_words(self) -> str:
        """The last lines of its output; of a dead one, all that it said."""
        if self._forwarder is not None and not self.is_alive():
            self._forwarder.join(1.0)
        return " | ".join(list(self._said)[-5:]) or "nothing"

    def ask_to_stop(self) -> None:
        """Send SIGTERM, without waiting."""
        if self.process is not None:
            self.process.send(signal.SIGTERM)

    def stop(self, seconds: float) -> None:
        """Wait so long for the end that was asked for, then kill."""
        if self.process is not None and not self.process.ends_within(seconds):
            self.process.stop()
        if self._forwarder is not None:
            self._forwarder.join(1.0)

    def _forward(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            return
        with process.stdout as output:
            for line in output:
                self._said.append(line.decode(errors="replace").strip())
                # The terminal may be gone; the program must not wait for it.
                with contextlib.suppress(OSError, ValueError):
                    sys.stderr.buffer.write(line)
                    sys.stderr.buffer.flush()


class Keeper:
    """Restarts one service when it is dead; raises Failure after 5 deaths in a minute.

    What dies while it could not be started either, because what it needs is away, has died of that: it is waited for.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._deaths: deque[float] = deque(maxlen=DEATHS_MAX)
        self._restart_at: float | None = None

    def tend(self, now: float) -> bool:
        """Look after the service once; `now` in monotonic seconds. Whether it is alive."""
        if self.service.is_alive():
            return True
        if self._restart_at is None:
            self._restart_at = now + self._pause_seconds(now)
        if now < self._restart_at or not self.service.can_restart():
            return False
        self._restart_at = None
        try:
            self.service.restart()
        except Failure as failure:
            say(str(failure))
        return self.service.is_alive()

    def _pause_seconds(self, now: float) -> float:
        if not self.service.can_restart():
            say(f"{self.service.name} ended; starting it again once the database lets it work.")
            return 0.0
        self._deaths.append(now)
        recent = [died_at for died_at in self._deaths if now - died_at < DEATHS_WITHIN_SECONDS]
        if len(recent) >= DEATHS_MAX:
            raise Failure(
                f"{self.service.name} died {len(recent)} times within a minute; it last said: "
                f"{self.service.last_words()}"
            )
        pause_seconds: float = min(PAUSE_SECONDS_FIRST * 2 ** len(recent), PAUSE_SECONDS_MAX)
        say(f"{self.service.name} died; starting it again in {pause_seconds:g} s.")
        return pause_seconds


def supervise(services: Sequence[Service], each_tick: Callable[[], None] | None = None) -> None:
    """Keep the services alive until StopRequested; a service waits while one before it in the order is dead.

    Raises Failure when one cannot be kept alive.
    """
    keepers = [Keeper(service) for service in services]
    while True:
        if all(keeper.tend(time.monotonic()) for keeper in keepers) and each_tick is not None:
            each_tick()
        time.sleep(TICK_SECONDS)


def stop_programs(programs: Sequence[Program]) -> None:
    """Ask all of them at once, wait 8 seconds together, then kill what is left."""
    for program in programs:
        program.ask_to_stop()
    deadline = time.monotonic() + GRACE_SECONDS
    for program in programs:
        program.stop(max(deadline - time.monotonic(), 0.0))
