"""`tixxety up`: a whole box office on one machine: PostgreSQL, the API and the worker, each a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import os
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from eventstore.sessions import expect_own_sessions
from tixxety import logs
from tixxety.embedded_postgres import EmbeddedPostgres, can_connect
from tixxety.failures import AlreadyRunning, Failure
from tixxety.migrate import REBUILD_DUE, migrate
from tixxety.rebuilding import rebuild_first
from tixxety.settings import Settings
from tixxety.supervisor import Program, Service, say, stop_programs, supervise

PACKAGE = Path(__file__).resolve().parent
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
        services: list[Service] = []
        database_url = settings.database_url
        notice = Notice(url)
        if database_url is not None:
            asyncio.run(expect_own_sessions(database_url))
        else:
            settings.home.write_note(NOTE, {"url": url, "pid": os.getpid()})
            postgres = EmbeddedPostgres(settings.home.path)
            stack.callback(postgres.stop)
            database_url = postgres.start(attach=False)
            services.append(postgres)
            notice = Notice(url, postgres)
        environment = settings.serving_environment(database_url)
        owner_url = settings.migrate_database_url or database_url
        for note in migrate(owner_url):
            say(note) if note != REBUILD_DUE else rebuild_first(owner_url)
        api = program("api", ["serve", "--listener", str(listener.fileno())], environment, listener)
        programs = [api, program("worker", ["worker"], environment)]
        stack.callback(stop_programs, programs)
        for each in programs:
            each.restart()
        supervise([*services, *programs], notice.look)


def serve_many(listener: socket.socket, workers: int, environment: dict[str, str]) -> None:
    """Answer on one socket with several API processes until StopRequested; those that die are started again."""
    arguments = ["serve", "--listener", str(listener.fileno())]
    programs = [program(f"api {number}", arguments, environment, listener) for number in range(1, workers + 1)]
    try:
        for each in programs:
            each.restart()
        supervise(programs)
    finally:
        stop_programs(programs)


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
    name: str, arguments: list[str], environment: dict[str, str], listener: socket.socket | None = None
) -> Program:
    """One of our own commands as a supervised process, in the environment that its parent has settled.

    It is not started again while the database is away: dying of that is no reason to give up.
    """
    full = {**os.environ, **environment, "TIXXETY_NO_VENV": "1", logs.STYLE: logs.style()}
    full.pop("MIGRATE_DATABASE_URL", None)
    command = [sys.executable, str(PACKAGE), *arguments]
    database_url = environment["DATABASE_URL"]
    return Program(name, command, full, [listener.fileno()] if listener else [], lambda: can_connect(database_url))


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
            shown = place._replace(netloc=f"{place.username}@{place.hostname}:{place.port}").geturl()
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
