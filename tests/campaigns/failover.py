"""Freezes a primary, promotes its standby, and tells how soon API and worker go on there by themselves.

`python -m tests.campaigns.failover` in the project's environment; ends with 1 when either takes longer than 15 seconds
from the promotion, or when anything that the standby had is lost.
"""

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx2
import psycopg
from psycopg.conninfo import make_conninfo

from eventstore.box_office import JOBS_KEY, BoxOffice
from tests.begun_sessions import BEGIN_SESSIONS, token_of
from tests.running import free_port, running, until_ready
from tests.tixxety.waiting_for_processes import family
from tixxety.embedded.server import EmbeddedPostgres
from tixxety.schema.migration import migrate

PROMISED_SECONDS = 15.0
GIVEN_UP_SECONDS = 60.0
HELD = 20
LOG_CHARACTERS = 3_000
LOOK_AGAIN_SECONDS = 0.05
SECRET = "a secret for tests, and for nothing else"
REGISTER = """
INSERT INTO tixxety.accounts (account_id, email, password_hash, name)
SELECT id, id || '@example.com', 'none', 'Somebody' FROM unnest(%s::uuid[]) AS id
"""
BEHIND_BYTES = "SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) FROM pg_stat_replication"
LEASES = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
AND (classid = %(projector_class)s::oid OR (classid = %(lock_class)s::oid AND objid = %(lock_key)s::oid))
"""
LEASES_VALUES = BoxOffice().lock(JOBS_KEY) | {"projector_class": BoxOffice().projector_class}
EXPIRED = "SELECT count(*) FROM projections.reservations WHERE status = 'expired'"


@contextmanager
def replicated(folder: Path) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """A primary and its streaming standby, which is made as a copy of the files of the stopped primary."""
    primary = EmbeddedPostgres(folder / "primary", durable=False)
    migrate(primary.start())
    primary.stop()
    data = primary.cluster / "data"
    standby_home = folder / "standby"
    standby_home.mkdir(mode=0o711)
    shutil.copytree(data, standby_home / "data", copy_function=shutil.copy2)
    shutil.copy2(primary.cluster / "password", standby_home / "password")
    url = primary.start()
    standby = EmbeddedPostgres(standby_home, durable=False)
    (standby_home / "data" / "standby.signal").touch()
    with (standby_home / "data" / "postgresql.auto.conf").open("a") as settings:
        follows = make_conninfo(url, dbname="replication").replace("'", "''")
        settings.write(f"primary_conninfo = '{follows}'\n")
    owner = data.stat()
    for path in (standby_home / "data").rglob("*"):
        os.chown(path, owner.st_uid, owner.st_gid)
    os.chown(standby_home / "data", owner.st_uid, owner.st_gid)
    try:
        standby.start()
        yield primary, standby
    finally:
        standby.discard()
        primary.discard()


@contextmanager
def frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """All processes of the server stand still for the block."""
    assert server.pid is not None
    processes = family(server.pid)
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


class BoxOffice:
    """What a buyer and an operator see of one event."""

    def __init__(self, api_url: str, database: "psycopg.Connection[tuple[int]]") -> None:
        self._client = httpx2.Client(base_url=api_url, timeout=12)
        self._database = database

    def open(self) -> str:
        """Put an event on sale; returns its id."""
        starts_at = datetime.now(UTC) + timedelta(days=1)
        body = {"title": "Moved", "starts_at": starts_at.isoformat(), "hold_seconds": 2, "total_tickets": 1_000_000}
        body["ends_at"] = (starts_at + timedelta(hours=2)).isoformat()
        event_id: str = self._post("/events", body).raise_for_status().json()["id"]
        return event_id

    def sells(self, event_id: str) -> bool:
        """Whether a new buyer gets a ticket, which is then held for two seconds."""
        try:
            return self._post("/reservations", {"event_id": event_id}).status_code == 201
        except httpx2.TransportError:
            return False

    def _post(self, path: str, body: dict[str, object]) -> httpx2.Response:
        account_id = uuid4()
        self._database.execute(REGISTER, ([account_id],))
        self._database.execute(BEGIN_SESSIONS.encode(), {"ids": [account_id]})
        token = token_of(SECRET, account_id, seconds=86_400)
        return self._client.post(path, json=body, headers={"Authorization": f"Bearer {token}"})


def both(first: str, second: str) -> str:
    """One URL for both servers."""
    parts, other = urlsplit(first), urlsplit(second)
    netloc = f"{parts.netloc},{other.hostname}:{other.port}"
    return urlunsplit(parts._replace(netloc=netloc, query="target_session_attrs=read-write"))


def fail_over(folder: Path, promoted_after_seconds: float) -> dict[str, float]:
    """One failover; the seconds from the promotion until each goes on."""
    with ExitStack() as stack:
        primary, standby = stack.enter_context(replicated(folder))
        port = free_port()
        environment = {"DATABASE_URL": both(primary.url, standby.url), "JWT_SECRET": SECRET, "TIXXETY_NO_VENV": "1"}
        started = []
        for arguments in (["worker"], ["serve", "--port", str(port)]):
            log = folder / f"{arguments[0]}.log"
            command = [sys.executable, "-m", "tixxety", *arguments]
            started.append((stack.enter_context(running(command, environment | {"HOME": str(folder)}, log)), log))
        api_url = f"http://127.0.0.1:{port}"
        until_ready(f"{api_url}/health/ready", *started)
        with psycopg.connect(primary.url, autocommit=True) as before:
            box_office = BoxOffice(api_url, before)
            event_id = box_office.open()
            assert all(box_office.sells(event_id) for _ in range(HELD))
            seconds_until(lambda: before.execute(BEHIND_BYTES).fetchone() == (0,))
        with frozen(primary), psycopg.connect(standby.url, autocommit=True) as after, ThreadPoolExecutor() as threads:
            threading.Event().wait(promoted_after_seconds)
            after.execute("SELECT pg_promote()")
            box_office = BoxOffice(api_url, after)
            goes_on = {
                "leases": lambda: number(after, LEASES) == 2,
                "expiry": lambda: number(after, EXPIRED) >= HELD,
                "API": lambda: box_office.sells(event_id),
            }
            seconds = [threads.submit(seconds_until, condition) for condition in goes_on.values()]
            took = dict(zip(goes_on, [each.result() for each in seconds], strict=True))
            if max(took.values()) > PROMISED_SECONDS:
                sys.stdout.writelines(f"{log.name}: {log.read_text()[-LOG_CHARACTERS:]}\n" for _, log in started)
            return took


def number(database: "psycopg.Connection[tuple[int]]", query: str) -> int:
    """The one number that a query gives."""
    return database.execute(query.encode(), LEASES_VALUES if query is LEASES else None).fetchall()[0][0]


def seconds_until(condition: Callable[[], bool]) -> float:
    """How long it takes until it holds; infinite when it does not within GIVEN_UP_SECONDS."""
    began, pause = time.monotonic(), threading.Event()
    while not condition():
        if time.monotonic() - began > GIVEN_UP_SECONDS:
            return float("inf")
        pause.wait(LOOK_AGAIN_SECONDS)
    return time.monotonic() - began


def main() -> None:
    """Some failovers, promoted sooner and later."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--promoted-after", type=float, nargs="*", default=[0.5, 4.0], metavar="SECONDS")
    late = False
    for promoted_after_seconds in options.parse_args().promoted_after:
        with tempfile.TemporaryDirectory(prefix="tixxety-failover-") as folder:
            Path(folder).chmod(0o711)
            took = fail_over(Path(folder), promoted_after_seconds)
        told = ", ".join(f"{who} after {seconds:.1f} s" for who, seconds in took.items())
        sys.stdout.write(f"promoted {promoted_after_seconds:g} s after the freeze: {told}\n")
        sys.stdout.flush()
        late = late or max(took.values()) > PROMISED_SECONDS
    sys.exit(1 if late else 0)


if __name__ == "__main__":
    main()
