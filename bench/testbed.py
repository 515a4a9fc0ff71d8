"""What is measured, all on this machine and thrown away at the end: PostgreSQL, its databases, and server processes."""

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx2
import psycopg
from psycopg import sql

from accounts.tokens import Tokens
from bench import processor_time
from bench.load import Clients, in_python, with_wrk
from bench.processor_time import API, MIGRATION, WORKER, ProcessorTime, Program
from eventstore.box_office import BoxOffice
from tixxety.embedded.server import EmbeddedPostgres
from tixxety.processes.child_process import TiedProcess
from tixxety.schema.migration import migrate

ROOT = Path(__file__).resolve().parent.parent
SECRET = "a secret of the bench, and of nothing else"
READY_SECONDS_MAX = 60
OUR_WORKER = ("-m", "tixxety", "worker")
TEMPLATE = "bench_template"
# A whole bench takes an hour.
TOKEN_SECONDS = 86_400
REGISTER = "COPY accounts (account_id, email, password_hash, name) FROM STDIN"
BEGIN_SESSIONS = """
INSERT INTO sessions (session_id, account_id, token_hash, expires_at)
SELECT account_id, account_id, '', clock_timestamp() + interval '30 days' FROM accounts
"""


class Testbed:
    """One PostgreSQL with `buyers` accounts in each of its databases. Use `open_testbed`.

    `wrk` is that program's path, None where the clients are in Python. Who `is_patient` waits after a run until the
    worker has sealed it, which begins every five seconds.
    """

    def __init__(
        self, folder: Path, server: EmbeddedPostgres, buyers: int, wrk: str | None, *, is_patient: bool = True
    ) -> None:
        self.folder = folder
        self.is_patient = is_patient
        self.server = server
        self.server_url = server.url
        self.programs: dict[int, Program] = {}
        self.wrk = wrk
        self.buyers = [uuid4() for _ in range(buyers)]
        tokens = Tokens(SECRET)
        self.tokens = [tokens.make(buyer, [], buyer, TOKEN_SECONDS) for buyer in self.buyers]
        self._numbers = iter(range(1_000_000))
        url = self._create(TEMPLATE)
        migrate(url)
        self._register(url)

    def database(self, tree: Path = ROOT) -> str:
        """The URL of a fresh box office, of the version in this tree, in which every buyer has an account."""
        if tree == ROOT:
            return self._create(f"bench_{next(self._numbers)}", TEMPLATE)
        url = self.empty_database()
        with self.program(["-m", "tixxety", "migrate"], Program(MIGRATION, url), tree) as process:
            if not process.ends_within(READY_SECONDS_MAX) or process.process.returncode:
                raise RuntimeError(f"the database of {tree} could not be made")
        self._register(url)
        return url

    def _register(self, url: str) -> None:
        """Each buyer has an account, and a session with its id, where the version of the schema has such."""
        with connect(url) as connection:
            with connection.cursor().copy(REGISTER) as copy:
                for buyer in self.buyers:
                    copy.write_row((buyer, f"{buyer}@example.com", "none", "Somebody"))
            ((has_sessions,),) = connection.execute("SELECT to_regclass('sessions') IS NOT NULL").fetchall()
            if has_sessions:
                connection.execute(BEGIN_SESSIONS)

    def empty_database(self) -> str:
        """The URL of a database with nothing in it."""
        return self._create(f"bench_{next(self._numbers)}")

    def _create(self, name: str, template: str = "template1") -> str:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(statement)
        return urlunsplit(urlsplit(self.server_url)._replace(path=f"/{name}"))

    def drop(self, *urls: str) -> None:
        """Give the disk back."""
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            for url in urls:
                name = sql.Identifier(urlsplit(url).path[1:])
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    @contextmanager
    def api(self, database_url: str, processes: int = 1, tree: Path = ROOT) -> Iterator[str]:
        """The URL of our own API, of the version in this tree."""
        port = free_port()
        command = ["-m", "tixxety", "serve", "--port", str(port), "--workers", str(processes)]
        with self._answering(command, database_url, port, tree) as url:
            yield url

    @contextmanager
    def worker(
        self, database_url: str, command: Sequence[str] = OUR_WORKER, tree: Path = ROOT
    ) -> Iterator[TiedProcess]:
        """Our own worker, or what the command runs in its place, which seals nothing."""
        program = Program(WORKER, database_url, seals=command is OUR_WORKER)
        with self.program(list(command), program, tree) as process:
            yield process

    def workers(self) -> list[Program]:
        """All workers that run."""
        return [program for program in self.programs.values() if program.part == WORKER]

    @contextmanager
    def baseline(self, name: str, database_url: str, processes: int = 1) -> Iterator[str]:
        """The URL of `bench.baselines.<name>`, served by the same server with the same loop and parser as ours."""
        port = free_port()
        command = ["-m", "bench.baselines.serving", name, str(port), str(processes)]
        with self._answering(command, database_url, port) as url:
            yield url

    @contextmanager
    def _answering(self, command: list[str], database_url: str, port: int, tree: Path = ROOT) -> Iterator[str]:
        url = f"http://127.0.0.1:{port}"
        with self.program(command, Program(API, database_url, url), tree) as process:
            yield until_answered(url, "/health/live", process)

    def processor_time(self) -> ProcessorTime:
        """What all processes of the testbed have spent until now."""
        assert self.server.pid is not None
        return processor_time.read(self.server_url, self.server.pid, self.programs)

    def seconds(self) -> float:
        """The sum of that, without asking PostgreSQL for anything."""
        assert self.server.pid is not None
        return processor_time.read_processes(self.server.pid, self.programs).total

    def spent(self, since: ProcessorTime, url: str) -> dict[str, float]:
        """Seconds of processor time by part since then, where whatever answers at the URL was loaded."""
        (served,) = (program for program in self.programs.values() if program.url == url)
        return processor_time.spent(since, self.processor_time(), served, self.programs)

    def clients(
        self,
        url: str,
        requests: Iterable[bytes],
        connections: int,
        seconds: float,
        *,
        by_status: bool = False,
        pace: float = 0,
    ) -> Clients:
        """Clients that have just begun to send these requests, over and over.

        `pace` is requests a second for all connections together, which only Python keeps; 0 for as many as are
        answered. `by_status` tells the answers apart, which costs wrk time.
        """
        file = self.folder / f"requests-{next(self._numbers)}"
        file.write_bytes(b"\0".join(requests))
        if self.wrk is not None and not pace:
            return Clients(with_wrk(self.wrk, url, file, connections, seconds, by_status), file, seconds)
        return Clients(in_python(url, file, connections, seconds, pace), file, seconds)

    @contextmanager
    def program(self, command: list[str], program: Program, tree: Path = ROOT) -> Iterator[TiedProcess]:
        """A Python process of the project's; what it says is kept in the folder until the end of the bench."""
        environment = os.environ | {
            "DATABASE_URL": processor_time.named(program.database_url, program.part),
            "JWT_SECRET": SECRET,
            "RATE_LIMITS": "off",
            "TIXXETY_NO_VENV": "1",
            "TIXXETY_HOME": str(self.folder / "unused"),
        }
        log = self.folder / f"process-{next(self._numbers)}.log"
        with log.open("wb") as output:
            process = TiedProcess(
                [sys.executable, *command],
                when_orphaned=signal.SIGKILL,
                cwd=tree,
                env=environment,
                stdout=output,
                stderr=output,
            )
        self.programs[process.pid] = program
        try:
            yield process
        finally:
            process.stop((signal.SIGTERM, 20.0))
            del self.programs[process.pid]


@contextmanager
def open_testbed(
    buyers: int, wrk: str | None = None, *, durable: bool = True, is_patient: bool = True
) -> Iterator[Testbed]:
    """A testbed with its PostgreSQL, for the duration of the block; not `durable` where the figures don't matter."""
    with tempfile.TemporaryDirectory(prefix="tixxety-bench-") as folder, ExitStack() as stack:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "home", durable=durable)
        stack.callback(server.discard)
        server.start()
        yield Testbed(Path(folder), server, buyers, wrk, is_patient=is_patient)


@contextmanager
def connect(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection that finds our tables by their names, committed at the end of the block."""
    with psycopg.connect(
        database_url, options=f"-c search_path={BoxOffice(database_url).search_path.replace(' ', '')}"
    ) as opened:
        yield opened


def until_answered(url: str, path: str, process: TiedProcess) -> str:
    """The URL, once a GET of `path` is answered with 200. Raises RuntimeError when the process ends before."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    # One client for all: each takes 40 ms of the processor to make, which what is being started needs itself.
    with httpx2.Client(timeout=2) as client:
        while time.monotonic() < deadline and not process.ends_within(0.02):
            with suppress(httpx2.TransportError):
                if client.get(url + path).status_code == httpx2.codes.OK:
                    return url
    raise RuntimeError(f"{process.process.args!r} does not answer at {url}")


def free_port() -> int:
    """A port of this machine where nobody listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
