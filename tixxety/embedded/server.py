"""The embedded PostgreSQL: starts, shares, restarts and stops the server that `tixxety` uses without a DATABASE_URL."""

import contextlib
import math
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, LiteralString

import psycopg
from psycopg import sql

from eventstore.postgres.connections import Connection
from tixxety.embedded.binaries import Binaries, find_binaries, within_reach
from tixxety.embedded.data_folder import Cluster, last_lines
from tixxety.embedded.home import Home, open_private
from tixxety.embedded.leftovers import end_leftovers
from tixxety.embedded.system_account import SHARED_BY_ROOT, cluster_folder, server_account
from tixxety.errors import PostgresFailed
from tixxety.processes.child_process import TiedProcess
from tixxety.processes.stop_signals import run, stops_requested
from tixxety.schema.database_roles import asks
from tixxety.terminal.say import say

DATABASE = "tixxety"
NOTE = "server.json"
LOG_BYTES_MAX = 10_000_000
START_SECONDS_MAX = 300.0
PORT_TRIES = 3
# How long the owner of a server waits for others that use it, once it was asked to stop.
ATTACHED_SECONDS_MAX = 10.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # Nobody needs the socket file, whose path must fit into about 100 bytes.
    "unix_socket_directories": "",
    "max_connections": "100",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "logging_collector": "off",
}
# Whoever else takes the port while the server is down may ask for a password in clear text, and gets none.
LOGIN = "require_auth=scram-sha-256&sslmode=disable&gssencmode=disable"
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "authentication_timeout": "10s"}
CLOSE_OTHERS = "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC"
TAKES_WRITES = "SELECT current_setting('transaction_read_only') = 'off'"
DATABASE_EXISTS = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %(name)s)"


class EmbeddedPostgres:
    """One PostgreSQL server per home. The process that holds the home's lock owns it; others attach to it.

    `brief` says that this process is a short command: it may attach to any server, and as the owner it waits at its
    end for others that attached meanwhile. A long-running process attaches only to a long-running owner.
    `durable=False` gives up safety against crashes for speed: for tests.
    """

    name = "PostgreSQL"

    def __init__(self, home: Path, *, durable: bool = True, brief: bool = False) -> None:
        self.home = Home(home.expanduser().absolute().resolve())
        self.durable = durable
        self.brief = brief
        self.url = ""
        self._account = server_account()
        self._cluster: Cluster | None = None
        self._binaries: Binaries | None = None
        self._server: TiedProcess | None = None
        self._ownership: IO[str] | None = None
        self._attachment: IO[str] | None = None

    @property
    def cluster(self) -> Path:
        """The folder with the data: the home, or for root one below /var/lib/tixxety. Makes the home."""
        return self._the_cluster().folder

    @property
    def pid(self) -> int | None:
        """The process id of an owned server."""
        return self._server.pid if self._server is not None else None

    def start(self, *, attach: bool = True, patience_seconds: float = 30.0) -> str:
        """Start the server or attach to the one that runs; returns a superuser's URL. Raises PostgresFailed.

        From then on no variable of libpq counts in this process and its children.
        """
        forget_libpq_variables()
        self._the_cluster()
        deadline = time.monotonic() + patience_seconds
        while True:
            self._ownership = self.home.lock("server.lock")
            if self._ownership is not None:
                break
            if attach and self._attach():
                return self.url
            if time.monotonic() > deadline:
                owner = self.home.read_note(NOTE).get("owner_pid", "unknown")
                raise PostgresFailed(f"Process {owner} uses the database of {self.home.path}; stop it first.")
            time.sleep(0.05)
        try:
            self._prepare()
            self.restart()
        except BaseException:
            self.stop()
            raise
        return self.url

    def restart(self) -> None:
        """Run the owned server, which is not running, and wait until it answers. Raises PostgresFailed."""
        cluster = self._the_cluster()
        end_leftovers(cluster.data, cluster.name)
        log = self.home.path / "postgres.log"
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        for attempt in range(1, PORT_TRIES + 1):
            log_start = log.stat().st_size if log.exists() else 0
            port = cluster.port()
            url = f"postgresql://postgres:{cluster.password()}@127.0.0.1:{port}"
            server = self._spawn(port, log)
            if answers(server, f"{url}/postgres?{LOGIN}"):
                break
            said = log.read_bytes()[log_start:].decode(errors="replace")
            if attempt == PORT_TRIES or "could not create any TCP/IP sockets" not in said:
                raise PostgresFailed(f"PostgreSQL did not start; {log} ends with: {last_lines(said)}")
        create_database(f"{url}/postgres?{LOGIN}")
        self.url = f"{url}/{DATABASE}?{LOGIN}"
        note = {"url": self.url, "pid": server.pid, "owner_pid": os.getpid(), "brief": self.brief}
        self.home.write_note(NOTE, note)

    def is_alive(self) -> bool:
        """Whether the owned server's process runs."""
        return self._server is not None and self._server.is_alive()

    def can_restart(self) -> bool:
        """A server needs nothing else to run."""
        return True

    def last_words(self) -> str:
        """The last lines of the server's log."""
        return last_lines((self.home.path / "postgres.log").read_text(errors="replace"))

    def stop(self) -> None:
        """Stop an owned server within 20 seconds, or let go of another's. Can be called twice."""
        try:
            if self._server is not None and self.brief:
                self._wait_for_attached()
        finally:
            if self._server is not None:
                self._stop_server(self._server)
            for held in (self._attachment, self._ownership):
                if held is not None:
                    held.close()
            self._attachment = self._ownership = None

    def discard(self) -> None:
        """Stop an owned server and delete its data for good: for tests."""
        throw_away = self._ownership is not None
        self.stop()
        if throw_away:
            shutil.rmtree(self.cluster)

    def _the_cluster(self) -> Cluster:
        if self._cluster is None:
            self.home.make()
            self._cluster = Cluster(cluster_folder(self.home.path, self._account), self._account)
        return self._cluster

    def _prepare(self) -> None:
        cluster = self._the_cluster()
        binaries = find_binaries(cluster.major, os.environ.get("TIXXETY_PG_BINDIR"))
        if self._account is not None:
            binaries = within_reach(binaries, self._account, SHARED_BY_ROOT)
        self._binaries = binaries
        if cluster.major is None:
            cluster.make(binaries, durable=self.durable)

    def _spawn(self, port: int, log: Path) -> TiedProcess:
        if self._binaries is None:
            raise PostgresFailed("Only the owner of a server can start it again.")
        cluster = self._the_cluster()
        settings = SETTINGS | ({} if self.durable else NOT_DURABLE)
        settings |= {"port": str(port), "cluster_name": cluster.name}
        command = [self._binaries.program("postgres"), "-D", str(cluster.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with open_private(log) as output:
            self._server = TiedProcess(
                command, when_orphaned=signal.SIGINT, stdout=output, stderr=output, **cluster.run_as()
            )
        return self._server

    def _attach(self) -> bool:
        note = self.home.read_note(NOTE)
        if not note or (note.get("brief") and not self.brief):
            return False
        attachment = self.home.lock("attached.lock", shared=True)
        if attachment is None:
            return False
        if not can_connect(note["url"]):
            attachment.close()
            return False
        self._attachment, self.url = attachment, note["url"]
        return True

    def _stop_server(self, server: TiedProcess) -> None:
        self.home.remove_note(NOTE)
        server.stop((signal.SIGINT, 10.0), (signal.SIGQUIT, 3.0))
        self._server = None
        cluster = self._the_cluster()
        end_leftovers(cluster.data, cluster.name)

    def _wait_for_attached(self) -> None:
        """Until nobody else uses the server: not for long when asked to stop, and no longer when asked again."""
        asked = stops_requested()
        deadline = time.monotonic() + (ATTACHED_SECONDS_MAX if asked else math.inf)
        told = False
        while (alone := self.home.lock("attached.lock")) is None:
            if time.monotonic() > deadline or stops_requested() > asked:
                return
            if not told:
                bound = f"at most {ATTACHED_SECONDS_MAX:g} s, or until stopped again" if asked else "until it ends"
                say(f"Another command uses the database of {self.home.path}: waiting for it, {bound}.")
                told = True
            time.sleep(0.1)
        alone.close()


def forget_libpq_variables() -> None:
    """PGSSLMODE, PGSERVICE and their like are meant for another server; libpq reads them whatever a URL says."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


@contextlib.contextmanager
def embedded_database(home: Path, *, durable: bool = True, brief: bool = False) -> Iterator[str]:
    """The URL of the home's server, running for at least the duration of the block."""
    server = EmbeddedPostgres(home, durable=durable, brief=brief)
    try:
        yield server.start()
    finally:
        server.stop()


def answers(server: TiedProcess, url: str) -> bool:
    """Wait until a starting server answers, which after a crash may take minutes; False where it ended instead."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while server.is_alive() and time.monotonic() < deadline:
        if can_connect(url):
            return True
        time.sleep(0.03)
    return False


def can_connect(url: str) -> bool:
    """Whether a server answers at the URL."""
    return answer_to(url, "SELECT true")


def takes_writes(url: str) -> bool:
    """Whether the database at the URL answers, and can be written to: it is no standby, nor set read-only."""
    return answer_to(url, TAKES_WRITES)


def answer_to(url: str, question: LiteralString) -> bool:
    """The server's answer to a yes-or-no question; False where it does not answer in time."""

    async def ask() -> bool:
        async with await Connection.connect(url, connect_timeout=3, autocommit=True) as connection:
            return await asks(connection, question)

    try:
        return run(ask())
    except psycopg.OperationalError:
        return False


def create_database(server_url: str) -> None:
    """Make the database that everything lives in, unless it is there, and keep all but superusers from the others."""

    async def create() -> None:
        async with await Connection.connect(server_url, connect_timeout=10, autocommit=True) as connection:
            connection.answer_seconds = START_SECONDS_MAX
            if not await asks(connection, DATABASE_EXISTS, name=DATABASE):
                await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
            # A standby has it from its primary.
            if await asks(connection, TAKES_WRITES):
                await connection.execute(CLOSE_OTHERS)

    run(create())
