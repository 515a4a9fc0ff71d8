"""Behind a pooler that shares sessions nothing is begun, and one sentence says why."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from eventstore.postgres.pooler_check import SharedSessions, expect_own_sessions
from tests.running import free_port
from tests.tixxety.forked import run_command
from tests.tixxety.waiting_for_processes import until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
server_round_robin = {round_robin}
default_pool_size = {size}
ignore_startup_parameters = extra_float_digits, options
"""

Pooler = Callable[..., str]

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")


@contextmanager
def pgbouncer(database_url: str, mode: str, size: int, round_robin: int) -> Iterator[str]:
    """The URL of the database through a PgBouncer of its own, which does not run as root."""
    server, port = urlsplit(database_url), free_port()
    with tempfile.TemporaryDirectory(prefix="tixxety-pooler-") as folder:
        configuration = Path(folder) / "pgbouncer.ini"
        place = {"host": server.hostname, "port": server.port, "user": server.username, "password": server.password}
        configuration.write_text(
            CONFIGURATION.format(**place, listen_port=port, mode=mode, size=size, round_robin=round_robin)
        )
        account = None
        if os.geteuid() == 0:
            account = pwd.getpwnam("nobody").pw_name
            shutil.chown(folder, account)
            shutil.chown(configuration, account)
        process = subprocess.Popen([str(PGBOUNCER), "-q", str(configuration)], user=account, stderr=subprocess.DEVNULL)
        url = urlunsplit(server._replace(netloc=f"{server.username}:x@127.0.0.1:{port}"))
        try:
            until(lambda: answers(url))
            yield url
        finally:
            process.terminate()
            process.wait(10)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def pooler(database_url: str) -> Iterator[Pooler]:
    with ExitStack() as stack:

        def start(mode: str, *, size: int = 10, round_robin: int = 0) -> str:
            return stack.enter_context(pgbouncer(database_url, mode, size, round_robin))

        yield start


@pytest.mark.parametrize(("size", "round_robin"), [(10, 0), (10, 1), (2, 0), (2, 1)])
async def test_shared_sessions_are_found_out(pooler: Pooler, size: int, round_robin: int) -> None:
    with pytest.raises(SharedSessions, match="shares sessions"):
        await expect_own_sessions(pooler("transaction", size=size, round_robin=round_robin))


async def test_a_session_for_each_connection_is_as_good_as_none_between(pooler: Pooler, database_url: str) -> None:
    await expect_own_sessions(pooler("session"))
    await expect_own_sessions(database_url)


@pytest.mark.parametrize("command", ["serve", "worker", "up"])
def test_no_process_starts_on_shared_sessions(pooler: Pooler, tmp_path: Path, command: str) -> None:
    variables = {"HOME": str(tmp_path), "DATABASE_URL": pooler("transaction"), "JWT_SECRET": "x" * 32}
    port = [] if command == "worker" else ["--port", "0"]
    ended = run_command(command, *port, **variables)
    assert ended.returncode not in (0, -9)
    assert ended.stderr.strip().startswith("tixxety: The database is reached through a pooler that shares sessions")
    assert len(ended.stderr.strip().splitlines()) == 1
