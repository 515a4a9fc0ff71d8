"""`tixxety up`: a whole box office on one machine: PostgreSQL, the API and the worker, each a process of its own."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from eventstore.postgres.connections import APP_ROLE, WORKER_ROLE
from eventstore.postgres.pooler_check import expect_own_sessions
from eventstore.schema_version import unusable
from tixxety.embedded.server import EmbeddedPostgres, can_connect, takes_writes
from tixxety.errors import AlreadyRunning, Failure
from tixxety.processes.stop_signals import run
from tixxety.processes.supervisor import Program, Service, stop_programs, supervise
from tixxety.schema.migration import REBUILD_DUE, migrate
from tixxety.schema.version import schema_versions
from tixxety.serving import logs
from tixxety.settings import Settings
from tixxety.terminal.say import say

PACKAGE = Path(__file__).resolve().parents[1]
BACKLOG = 2048
NOTE = "up.json"
READY_SECONDS_EXPECTED = 30.0


def up(settings: Settings, host: str, port: int) -> None:
    """Run everything until StopRequested; data outlives it. Raises Failure, having stopped what was started."""
    with contextlib.ExitStack() as stack:
        # Where the home is, another may be open there, and says more than a taken port; else nothing is made in vain.
        embedded, was_there = settings.database_url is None, settings.home.path.is_dir()
        if embedded and was_there:
            claim_home(settings, stack)
        listener = stack.enter_context(listen(host, port))
        if embedded and not was_there:
            claim_home(settings, stack)
        url = address(listener)
        database = Database(settings)
        if settings.database_url is not None:
            run(expect_own_sessions(settings.database_url))
        if embedded:
            settings.home.write_note(NOTE, {"url": url, "pid": os.getpid()})
            database.postgres = EmbeddedPostgres(settings.home.path)
            stack.callback(database.postgres.stop)
            database.postgres.start(attach=False)
        database.environment(APP_ROLE)
        owner_url = settings.migrate_database_url or database.url
        bring_up_to_date(owner_url)
        settings.open_logins(database.url)
        api = program("api", ["serve"], partial(database.environment, APP_ROLE), database.answers, listener)
        worker = program("worker", ["worker"], partial(database.environment, WORKER_ROLE), database.takes_work)
        programs = [api, worker]
        stack.callback(stop_programs, programs)
        keep_open(database, programs, Notice(url, database.postgres))


def bring_up_to_date(owner_url: str) -> None:
    """Migrate, and rebuild the tables for reading where that is due; say what the operator should know."""
    for note in migrate(owner_url):
        if note == REBUILD_DUE:
            from tixxety.schema.rebuild_tables import rebuild_first  # hardly ever due, and takes 0.2 s to load

            rebuild_first(owner_url)
        else:
            say(note)


def keep_open(database: Database, programs: list[Program], notice: Notice) -> None:
    """Keep all alive until StopRequested. Raises Failure when one cannot be."""
    used_url = start_all(database, programs)

    def look() -> None:
        nonlocal used_url
        if database.url != used_url:
            say("The database has moved: starting again what uses it.")
            stop_programs(programs)
            used_url = start_all(database, programs)
        notice.look()

    server: list[Service] = [database.postgres] if database.postgres is not None else []
    supervise([*server, *programs], look)


def start_all(database: Database, programs: list[Program]) -> str:
    """Start the programs; returns the database's URL, which is all that they know of it."""
    url = database.url
    for each in programs:
        each.restart()
    return url


def serve_many(listener: socket.socket, workers: int, environment: dict[str, str]) -> None:
    """Answer on one socket with several API processes until StopRequested; those that die are started again."""

    def answers() -> bool:
        return can_connect(environment["DATABASE_URL"])

    names = [f"api {number}" for number in range(1, workers + 1)]
    programs = [program(name, ["serve"], lambda: environment, answers, listener) for name in names]
    try:
        for each in programs:
            each.restart()
        supervise(programs)
    finally:
        stop_programs(programs)


@dataclass
class Database:
    """The database that the programs use: the operator's, or the embedded one, which may move to another port."""

    settings: Settings
    postgres: EmbeddedPostgres | None = None

    @property
    def url(self) -> str:
        """Where it is now."""
        return self.postgres.url if self.postgres is not None else self.settings.database_url or ""

    def environment(self, role: str) -> dict[str, str]:
        """What a program needs to use it as this role. Raises WrongSetting."""
        return self.settings.serving_environment(self.url, role)

    def answers(self) -> bool:
        """Whether the API can read there: dying while it can't is no reason to give up."""
        return can_connect(self.url)

    def takes_work(self) -> bool:
        """Whether a worker can do anything there: not in a read-only database, nor in another version's schema.

        Both end of themselves, after a failover or an upgrade, and until then the API answers without a worker.
        """
        try:
            versions = schema_versions(self.url)
            return takes_writes(self.url) and versions is not None and unusable(*versions) is None
        except psycopg.Error:
            return False


def claim_home(settings: Settings, stack: contextlib.ExitStack) -> None:
    """Hold the home for this process's life. Raises AlreadyRunning, naming the first one's URL and process."""
    home = settings.home
    home.make()
    claim = home.lock("up.lock")
    if claim is None:
        note = home.read_note(NOTE)
        place = f"at {note['url']} (process {note['pid']})" if note else "and is starting"
        raise AlreadyRunning(
            f"Tixxety already runs for the home {home.path} {place}; another one needs another --home."
        )
    stack.enter_context(claim)
    home.remove_note(NOTE)
    stack.callback(home.remove_note, NOTE)


def program(
    name: str,
    arguments: list[str],
    environment: Callable[[], dict[str, str]],
    can_restart: Callable[[], bool],
    listener: socket.socket | None = None,
) -> Program:
    """One of our own commands as a supervised process, in the environment that its parent has settled."""

    def full_environment() -> dict[str, str]:
        full = {**os.environ, **environment(), "TIXXETY_NO_VENV": "1", logs.STYLE: logs.style()}
        full.pop("MIGRATE_DATABASE_URL", None)
        return full

    shared = ["--listener", str(listener.fileno())] if listener is not None else []
    command = [sys.executable, str(PACKAGE), *arguments, *shared]
    return Program(name, command, full_environment, [listener.fileno()] if listener else [], can_restart)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, which outlives the processes that answer on it. Raises Failure where the port is taken."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(place[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Failure(f"Port {port} is taken by another program; choose another with --port.") from None
        raise Failure(f"{host} port {port} cannot be listened on: {error.strerror}.") from None


def address(listener: socket.socket) -> str:
    """The URL under which this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{local}]:{port}" if ":" in local else f"http://{local}:{port}"


@dataclass
class Notice:
    """Prints where everything is, once, after the first green readiness."""

    url: str
    postgres: EmbeddedPostgres | None = None
    printed: bool = False
    complain_at: float = 0.0

    def look(self) -> None:
        """Ask for readiness unless it was green before; takes at most 2 seconds."""
        if self.printed:
            return
        now = time.monotonic()
        self.complain_at = self.complain_at or now + READY_SECONDS_EXPECTED
        status, body = get(self.url, "/health/ready")
        if status == http.client.OK:
            self.printed = True
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.write(self.text())
                sys.stdout.flush()
        elif now > self.complain_at:
            self.complain_at = now + READY_SECONDS_EXPECTED
            say(f"Not ready yet: {body or 'the API does not answer'}")

    def text(self) -> str:
        """What is printed."""
        lines = ["Tixxety is open.", f"  API       {self.url}", f"  Docs      {self.url}/docs"]
        if self.postgres is not None:
            place = urlsplit(self.postgres.url)
            shown = place._replace(netloc=f"{place.username}@{place.hostname}:{place.port}", query="").geturl()
            lines.append(f"  Database  {shown} (password in {self.postgres.cluster / 'password'})")
            lines.append(f"  Home      {self.postgres.home.path}")
        return "\n".join([*lines, "Ctrl-C closes it.", ""])


def get(url: str, path: str) -> tuple[int, str]:
    """Status and the start of the body of a GET on this machine, past any proxy; 0 where nothing answers in 2 s."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(1000).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
