"""Short commands that share the embedded server of a home: whoever started it waits for the others, not for ever."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.running import ROOT
from tests.tixxety.waiting_for_processes import until
from tixxety.embedded.server import EmbeddedPostgres, can_connect

OWNER = """
import sys, threading
from pathlib import Path
from tixxety.embedded import server as embedded_server
from tixxety.processes.stop_signals import StopRequested, stop_signals
embedded_server.ATTACHED_SECONDS_MAX = float(sys.argv[2])
try:
    with stop_signals(), embedded_server.embedded_database(Path(sys.argv[1]), durable=False, brief=True) as url:
        print(url, flush=True)
        sys.stdin.read()
except StopRequested:
    sys.exit(7)
"""
LONG, SHORT = 600.0, 0.5


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose data is made once for all tests here, which leave no server running."""
    home = tmp_path_factory.mktemp("shared") / "home"
    yield home
    server = EmbeddedPostgres(home, durable=False)
    server.start()
    server.discard()


@contextmanager
def owner_of(home: Path, patience_seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """A process that has started the server, and goes on until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(home), str(patience_seconds)],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "TIXXETY_PG_BINDIR") if name in os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline().startswith("postgresql://")
        try:
            yield owner
        finally:
            owner.kill()


@contextmanager
def attached_to(home: Path) -> Iterator[EmbeddedPostgres]:
    """Another command that uses it."""
    other = EmbeddedPostgres(home, durable=False, brief=True)
    other.start()
    assert other.pid is None
    try:
        yield other
    finally:
        other.stop()


def said(owner: "subprocess.Popen[str]") -> str:
    assert owner.stderr is not None
    return owner.stderr.readline()


def test_an_owner_that_is_done_waits_for_the_others(shared: Path) -> None:
    with owner_of(shared, SHORT) as owner:
        with attached_to(shared) as other:
            assert owner.stdin is not None
            owner.stdin.close()
            assert "waiting for it, until it ends" in said(owner)
            assert can_connect(other.url)
        assert owner.wait(60) == 0


def test_an_owner_that_is_asked_to_stop_waits_for_a_while(shared: Path) -> None:
    with owner_of(shared, SHORT) as owner, attached_to(shared) as other:
        owner.send_signal(signal.SIGTERM)
        assert "waiting for it, at most 0.5 s" in said(owner)
        assert owner.wait(60) == 7
        until(lambda: not can_connect(other.url))


def test_an_owner_that_is_asked_again_waits_no_longer(shared: Path) -> None:
    with owner_of(shared, LONG) as owner, attached_to(shared):
        owner.send_signal(signal.SIGTERM)
        assert "waiting for it, at most 600 s" in said(owner)
        owner.send_signal(signal.SIGINT)
        assert owner.wait(60) == 7
