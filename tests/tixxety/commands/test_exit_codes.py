"""Every command's exit codes: 2 where it could not be done, 128 and the signal where it was interrupted."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from eventstore.postgres.connections import Connection, ServerSilent
from eventstore.schema_version import SCHEMA_VERSION
from tests.running import ROOT
from tests.tixxety.forked import Command
from tests.tixxety.waiting_for_processes import until
from tixxety.commands.all_commands import COMMANDS
from tixxety.entry_point import UNTIL_STOPPED
from tixxety.processes.stop_signals import STOP_SIGNALS
from tixxety.schema.version import schema_versions

SECRET = "a secret of thirty-two bytes, yes"
# A row for each command, with arguments that get as far as the database.
ASKING_THE_DATABASE = {
    "analyst-url": [],
    "export": [],
    "grant": ["ann@example.com", "admin"],
    "reset-password": ["ann@example.com"],
    "migrate": [],
    "newest-seal": [],
    "rebuild": [],
    "replay": ["--event", str(uuid4()), "--position", "1"],
    "revoke": ["ann@example.com", "admin"],
    "rotate-seal-key": [],
    "serve": ["--port", "0"],
    "up": ["--port", "0"],
    "verify": [],
    "worker": [],
}
OTHERS_THAT_CAN_NOT = {"secrets": ["--to", "/nowhere/.env"], "test": ["-n0", "--no-such-option"]}
WAITING = """
SELECT application_name FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""
Running = Mapping[str, Command]


@contextmanager
def started(commands: Mapping[str, list[str]], url: str, folder: Path) -> Iterator[Running]:
    """All of them at once, each with its name in the database's list of sessions."""
    processes = {}
    for name, arguments in commands.items():
        named = f"{url}?application_name={name}"
        urls = {"DATABASE_URL": named, "MIGRATE_DATABASE_URL": named, "TEST_DATABASE_URL": named}
        said = folder / f"{name}.errors"
        processes[name] = Command([name, *arguments], {"JWT_SECRET": SECRET, **urls}, folder / "output", said)
    try:
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def ends(processes: Running) -> dict[str, tuple[int, str]]:
    """Exit code and last line on standard error of each."""
    return {
        name: (process.wait(240), process.errors.read_text().strip().split("\n")[-1])
        for name, process in processes.items()
    }


def test_every_command_has_a_row() -> None:
    assert set(ASKING_THE_DATABASE) | set(OTHERS_THAT_CAN_NOT) == set(COMMANDS)


def test_what_could_not_be_done_ends_with_2_also_when_a_server_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"
        with started({**ASKING_THE_DATABASE, **OTHERS_THAT_CAN_NOT}, url, tmp_path) as processes:
            ended = ends(processes)
    assert {name: code for name, (code, _) in ended.items() if code != 2} == {}
    assert {name for name in ASKING_THE_DATABASE if "does not answer" not in ended[name][1]} == set()


def test_a_server_that_falls_silent_after_the_greeting_is_given_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "answer_seconds", 0.3)
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE tixxety.schema_version IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ServerSilent):
            schema_versions(database_url)
    assert (schema_versions(database_url) or (0, 0))[0] == SCHEMA_VERSION


def test_what_is_interrupted_ends_with_128_and_the_signal_unless_it_runs_until_it_is_stopped(
    database_url: str, tmp_path: Path
) -> None:
    numbers = dict(zip(ASKING_THE_DATABASE, cycle(STOP_SIGNALS), strict=False))
    interrupted: set[str] = set()
    with psycopg.connect(database_url) as holder, psycopg.connect(database_url, autocommit=True) as watcher:
        # The first thing that each of them asks for.
        holder.execute("LOCK TABLE tixxety.schema_version IN ACCESS EXCLUSIVE MODE")
        with started(ASKING_THE_DATABASE, database_url, tmp_path) as processes:

            def interrupt_who_waits() -> bool:
                for (name,) in watcher.execute(WAITING).fetchall():
                    if name not in interrupted:
                        processes[name].send_signal(numbers[name])
                        interrupted.add(name)
                return interrupted == set(processes)

            until(interrupt_who_waits, seconds=240)
            ended = ends(processes)
    wanted = {name: 0 if name in UNTIL_STOPPED else 128 + number for name, number in numbers.items()}
    assert {name: code for name, (code, _) in ended.items()} == wanted
    sentences = {said for name, (_, said) in ended.items() if name not in UNTIL_STOPPED}
    assert sentences == {f"tixxety: Stopped by {number.name} before the end." for number in STOP_SIGNALS}


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_test_run_that_is_interrupted_says_so(number: signal.Signals, server_url: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        f"import pathlib, threading\n"
        f"def test_it():\n"
        f"    pathlib.Path({str(tmp_path / 'under way')!r}).touch()\n"
        f"    threading.Event().wait(60)\n"
    )
    arguments = ["-n0", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_it.py")]
    with started({"test": arguments}, server_url, tmp_path) as processes:
        until((tmp_path / "under way").exists, seconds=60)
        processes["test"].send_signal(number)
        assert ends(processes)["test"] == (128 + number, f"tixxety: Stopped by {number.name} before the end.")


def test_a_mistake_of_ours_ends_with_2_and_its_traceback(tmp_path: Path) -> None:
    code = "from tixxety.commands import all_commands; all_commands.app = None\n"
    code += "from tixxety.entry_point import execute; raise SystemExit(execute())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "Traceback" in done.stderr
