"""Child processes that end with their parent, however it dies, and are stopped within a bound."""

import contextlib
import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
# New containers between two collections, and younger collections before an older generation's turn: small steps of
# milliseconds, and next to never what is old, which can be millions of containers and stops everybody for a second.
COLLECT_AFTER = (5_000, 10, 100_000)
# Loaded before any fork: the child of a fork may only call it.
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class TiedProcess:
    """A child that gets `when_orphaned` at the moment its parent is gone, even by kill -9.

    On Linux the kernel sends the signal; elsewhere a shell holds a pipe of ours and sends it when the pipe closes.
    The child has a session of its own, so that a Ctrl-C reaches the parent alone, which stops its children in order.
    """

    def __init__(self, command: Sequence[str], *, when_orphaned: signal.Signals, **options: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the kernel ties a child to the thread that makes it: call this from the main thread")
        if LIBC is not None:
            options["preexec_fn"] = tie_to_parent(LIBC, os.getpid(), when_orphaned)
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, **options
        )
        self.watcher = watch_by_pipe(self.process.pid, when_orphaned) if LIBC is None else None

    @property
    def pid(self) -> int:
        """The process id, also after the end."""
        return self.process.pid

    def is_alive(self) -> bool:
        """Whether the child still runs; a dead one is reaped here."""
        if self.process.poll() is None:
            return True
        self._dismiss_watcher()
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a child that is gone is left alone."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def ends_within(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it came."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self._dismiss_watcher()
        return True

    def stop(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each signal in turn and wait its seconds, until the child has ended; at last kill it."""
        for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
            self.send(number)
            if self.ends_within(seconds):
                return

    def _dismiss_watcher(self) -> None:
        if self.watcher is not None:
            self.watcher.kill()
            self.watcher.communicate()
            self.watcher = None


def tie_to_parent(libc: ctypes.CDLL, parent_pid: int, number: signal.Signals) -> Callable[[], None]:
    """What the child runs between fork and exec: ask for the signal, then see whether the parent died just before."""

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent_pid:
            os._exit(1)

    return tie


def end_with_uv() -> None:
    """Where `uv run` started us, ask for SIGTERM at its end: killed, it would leave us behind (Linux only)."""
    # Nothing is known of the parent 0, which a container's first process has, and whatever is run in it from outside.
    with contextlib.suppress(OSError):
        if LIBC is not None and Path(f"/proc/{os.getppid()}/comm").read_text() == "uv\n":
            LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


def watch_by_pipe(pid: int, number: signal.Signals) -> subprocess.Popen[bytes]:
    """A shell that reads a pipe only we hold open; at our death it reads the end and sends the signal."""
    script = f"read -r line; kill -{int(number)} {pid}"
    return subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)


def spare_collector() -> None:
    """Keep the garbage collector from what a start has made, and from what is old: hardly any of it is ever cyclic."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
