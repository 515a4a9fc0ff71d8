"""The embedded PostgreSQL: found, started, shared, restarted and stopped, whatever an earlier run left."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.conftest import new_home
from tests.tixxety.waiting_for_processes import all_gone, family, until
from tixxety.embedded.binaries import Binaries, find_binaries, within_reach
from tixxety.embedded.server import EmbeddedPostgres, can_connect, embedded_database
from tixxety.embedded.system_account import Account
from tixxety.errors import Failure, PostgresFailed

ROOT = Path(__file__).parents[3]
OWNER = """
import sys, threading
from pathlib import Path
from typing import Any
from tixxety.embedded.server import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), durable=False)
print(server.start(), server.pid, flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home whose data is made once for all tests here."""
    with new_home() as home:
        server = EmbeddedPostgres(home, durable=False)
        server.start()
        server.stop()
        yield home
        server.start()
        server.discard()


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    """A running server of that home."""
    server = EmbeddedPostgres(home, durable=False)
    server.start()
    yield server
    server.stop()


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
        return row[0] if row else None


def processes_of(server: EmbeddedPostgres) -> list[psutil.Process]:
    assert server.pid is not None
    return family(server.pid)


def test_data_outlives_a_restart_at_the_same_address(server: EmbeddedPostgres) -> None:
    url = server.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    assert not can_connect(url)
    assert server.start() == url
    assert ask(url, "SELECT answer FROM kept") == 42


def test_it_is_durable_unless_told_otherwise(server: EmbeddedPostgres) -> None:
    safety = "SELECT current_setting('fsync') || current_setting('full_page_writes')"
    assert ask(server.url, safety) == "offoff"
    server.stop()
    with embedded_database(server.home.path) as url:
        assert ask(url, safety) == "onon"


def test_it_speaks_utf8_and_utc_to_this_machine_only(server: EmbeddedPostgres) -> None:
    assert ask(server.url, "SELECT current_setting('server_encoding') || current_setting('TimeZone')") == "UTF8UTC"
    assert ask(server.url, "SELECT current_setting('listen_addresses')") == "127.0.0.1"


def test_nobody_gets_in_without_the_password(server: EmbeddedPostgres) -> None:
    assert not can_connect(server.url.replace("postgres:", "postgres:x"))
    assert can_connect(server.url)


def test_secrets_are_the_owners_alone_and_nothing_above_changes(tmp_path: Path) -> None:
    above = [tmp_path, *tmp_path.parents]
    before = [stat.S_IMODE(folder.stat().st_mode) for folder in above]
    server = EmbeddedPostgres(tmp_path / "home", durable=False)
    server.start()
    try:
        assert stat.S_IMODE((server.cluster / "password").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "home" / "server.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((server.cluster / "data").stat().st_mode) == 0o700
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in above] == before
        assert psutil.Process(server.pid).uids().effective != 0
    finally:
        server.discard()
    assert not (server.cluster / "data").exists()


def test_a_home_with_a_very_long_path_works(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / ("long" * 30) / "home", durable=False)
    try:
        assert can_connect(server.start())
    finally:
        server.discard()


def test_another_process_attaches_and_leaves_the_server_running(server: EmbeddedPostgres) -> None:
    other = EmbeddedPostgres(server.home.path)
    assert other.start() == server.url
    assert other.pid is None
    other.stop()
    assert can_connect(server.url)


def test_a_long_run_does_not_rely_on_a_short_commands_server(server: EmbeddedPostgres) -> None:
    server.stop()
    short = EmbeddedPostgres(server.home.path, brief=True)
    short.start()
    try:
        with pytest.raises(PostgresFailed, match=str(os.getpid())):
            EmbeddedPostgres(server.home.path).start(patience_seconds=0.2)
        another = EmbeddedPostgres(server.home.path, brief=True)
        assert another.start() == short.url
        another.stop()
    finally:
        short.stop()


def test_a_taken_port_is_replaced_and_the_new_one_kept(server: EmbeddedPostgres) -> None:
    old = psycopg.conninfo.conninfo_to_dict(server.url)["port"]
    server.stop()
    with socket.create_server(("127.0.0.1", int(str(old)))):
        new = psycopg.conninfo.conninfo_to_dict(server.start())["port"]
        assert new != old
        server.stop()
    assert psycopg.conninfo.conninfo_to_dict(server.start())["port"] == new


def test_a_killed_owner_leaves_no_process_and_its_home_can_be_used(server: EmbeddedPostgres) -> None:
    server.stop()
    command = [sys.executable, "-c", OWNER, str(server.home.path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        url, pid = owner.stdout.readline().split()
        processes = family(int(pid))
        assert len(processes) > 3
        owner.kill()
        until(lambda: all_gone(processes))
    assert server.start() == url


def test_a_killed_server_can_be_started_again_at_once(server: EmbeddedPostgres) -> None:
    url, processes = server.url, processes_of(server)
    psutil.Process(server.pid).kill()
    until(lambda: not server.is_alive())
    server.restart()
    assert server.url == url
    assert can_connect(url)
    assert all_gone(processes)


def test_a_server_without_an_owner_is_ended_before_the_next_start(server: EmbeddedPostgres) -> None:
    process = psutil.Process(server.pid)
    command, uid, gid = process.cmdline(), process.uids().effective, process.gids().effective
    server.stop()
    as_before: dict[str, Any] = {} if os.geteuid() else {"user": uid, "group": gid, "extra_groups": []}
    with other_process(command, **as_before) as orphan:
        until(lambda: can_connect(server.url))
        processes = family(orphan.pid)
        server.start()
        until(lambda: all_gone(processes))
    assert can_connect(server.url)


def test_a_pid_file_that_names_somebody_else_does_not_stop_the_start(server: EmbeddedPostgres) -> None:
    process = psutil.Process(server.pid)
    uid, gid = process.uids().effective, process.gids().effective
    pid_file = server.cluster / "data" / "postmaster.pid"
    text = pid_file.read_text()
    server.stop()
    as_server: dict[str, Any] = {} if os.geteuid() else {"user": uid, "group": gid, "extra_groups": []}
    with other_process(["sleep", "600"], **as_server) as somebody:
        pid_file.write_text(text.replace(str(process.pid), str(somebody.pid), 1))
        os.chown(pid_file, uid, gid)
        assert can_connect(server.start())
        assert somebody.poll() is None


def test_data_of_a_version_without_programs_is_refused_by_name(server: EmbeddedPostgres) -> None:
    server.stop()
    version = server.cluster / "data" / "PG_VERSION"
    true_version = version.read_text()
    version.write_text("999\n")
    with pytest.raises(PostgresFailed, match="PostgreSQL 999"):
        server.start()
    version.write_text(true_version)


def test_a_start_that_fails_says_what_the_server_said(server: EmbeddedPostgres) -> None:
    server.stop()
    configuration = server.cluster / "data" / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text("max_wal_senders = nonsense\n")
    with pytest.raises(PostgresFailed, match="max_wal_senders"):
        server.start()
    configuration.write_text(good)


def test_a_chosen_folder_without_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PostgresFailed, match="TIXXETY_PG_BINDIR"):
        find_binaries(None, str(tmp_path))


@pytest.mark.parametrize(("version", "usable"), [("14.2", False), ("15.0", True), ("19beta1", True)])
def test_only_postgresql_15_and_newer_is_used(tmp_path: Path, version: str, usable: bool) -> None:
    for name in ("postgres", "initdb"):
        write_program(tmp_path / name, version)
    if usable:
        assert find_binaries(None, str(tmp_path)).version == version
    else:
        with pytest.raises(PostgresFailed, match=version):
            find_binaries(None, str(tmp_path))


def test_programs_below_a_private_folder_are_copied_once(tmp_path: Path) -> None:
    private = tmp_path / "private"
    folder = private / "package" / "pginstall" / "bin"
    folder.mkdir(parents=True)
    (private / "package.libs").mkdir()
    (private / "package.libs" / "libpq.so").touch(0o600)
    for name in ("postgres", "initdb"):
        write_program(folder / name, "18.6")
    private.chmod(0o700)
    somebody = Account("somebody", uid=54_321, gid=54_321)
    shared = tmp_path / "shared"
    copy = within_reach(Binaries(folder, 18, "18.6"), somebody, shared)
    assert shared in copy.folder.parents
    assert stat.S_IMODE((copy.folder / "postgres").stat().st_mode) == 0o755
    assert (copy.folder.parent.parent.parent / "package.libs" / "libpq.so").stat().st_mode & 0o004
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    before = (copy.folder / "postgres").stat().st_ino
    assert within_reach(Binaries(folder, 18, "18.6"), somebody, shared) == copy
    assert (copy.folder / "postgres").stat().st_ino == before


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="--home"):
        EmbeddedPostgres(tmp_path / "file" / "home").start()


@contextmanager
def other_process(command: list[str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that knows nothing of us, killed with the block."""
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/", **options) as process:
        try:
            yield process
        finally:
            process.kill()


def write_program(path: Path, version: str) -> None:
    path.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
    path.chmod(0o700)
