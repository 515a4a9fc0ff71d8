"""The supervisor: restarts what dies, gives up when that does not help, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.tixxety.waiting_for_processes import all_gone, until
from tixxety.errors import Failure
from tixxety.processes import supervisor
from tixxety.processes.child_process import TiedProcess
from tixxety.processes.supervisor import Keeper, Program, stop_programs, supervise

ROOT = Path(__file__).parents[3]
FOREVER = "import threading; print('up', flush=True); threading.Event().wait()"
COUNTING = """
import signal, sys
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
print("up", flush=True)
while not asked:
    signal.sigtimedwait([signal.SIGUSR1], 0.1)
# A second request would come at once.
signal.sigtimedwait([signal.SIGUSR1], 0.5)
sys.exit(f"asked {len(asked)} times")
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOREVER


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_program_that_dies_is_started_again() -> None:
    program = Program("sleeper", python(FOREVER), lambda: os.environ)
    program.restart()
    first = program.process
    assert first is not None
    keeper = Keeper(program)
    try:
        first.send(signal.SIGKILL)
        until(lambda: not program.is_alive())
        assert not keeper.tend(now=100.0)
        assert keeper.tend(now=100.2)
        assert program.process is not None
        assert program.process.pid != first.pid
    finally:
        stop_programs([program])


@pytest.mark.timeout(60)
def test_five_deaths_in_a_minute_are_given_up_with_the_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PAUSE_SECONDS_FIRST", 0.001)
    monkeypatch.setattr(supervisor, "TICK_SECONDS", 0.01)
    program = Program("singer", python("import sys; sys.exit('out of breath')"), lambda: os.environ)
    with pytest.raises(Failure, match=r"singer died 5 times within a minute.*out of breath"):
        supervise([program])


def test_five_deaths_in_an_hour_are_not() -> None:
    program = Program("singer", python("raise SystemExit"), lambda: os.environ)
    keeper = Keeper(program)
    for hour in range(1, 9):
        keeper.tend(now=hour * 3600.0)
        keeper.tend(now=hour * 3600.0 + 10)
        until(lambda: not program.is_alive())


def test_a_program_is_not_started_while_what_it_needs_is_away() -> None:
    there = False
    program = Program("guest", python(FOREVER), lambda: os.environ, can_restart=lambda: there)
    keeper = Keeper(program)
    for second in range(20):
        assert not keeper.tend(now=float(second))
    there = True
    try:
        assert keeper.tend(now=20.0)
    finally:
        stop_programs([program])


def test_a_program_that_does_not_listen_is_killed() -> None:
    program = Program("deaf", python(DEAF), lambda: os.environ)
    program.restart()
    until(lambda: program.last_words() == "up")
    program.stop(0.1)
    assert not program.is_alive()


def test_a_stop_is_asked_for_once() -> None:
    program = Program("listener", python(COUNTING), lambda: os.environ)
    program.restart()
    until(lambda: program.last_words() == "up")
    stop_programs([program])
    assert program.last_words() == "up | asked 1 times"


def test_deaths_of_what_is_away_are_not_counted() -> None:
    there = False
    program = Program("guest", python("raise SystemExit"), lambda: os.environ, can_restart=lambda: there)
    keeper = Keeper(program)
    for second in range(20):
        there = second % 2 == 1
        keeper.tend(now=float(second))
        until(lambda: not program.is_alive())


def test_each_start_asks_for_its_environment() -> None:
    where = {"PLACE": "here"}
    program = Program("traveller", python("import os; print(os.environ['PLACE'])"), lambda: where)
    said = []
    for place in ("here", "there"):
        where["PLACE"] = place
        program.restart()
        until(lambda: not program.is_alive())
        said.append(program.last_words())
    assert said == ["here", "there"]


@pytest.mark.parametrize("kernel_ties", [True, False])
def test_a_child_ends_with_a_parent_that_is_killed(kernel_ties: bool) -> None:
    code = f"""
import os, signal, subprocess, threading
from tixxety.processes import child_process
if not {kernel_ties}:
    child_process.LIBC = None  # as on a system whose kernel cannot do it
child = child_process.TiedProcess({python(DEAF)!r}, when_orphaned=signal.SIGKILL, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
threading.Event().wait()
"""
    with subprocess.Popen(python(code), cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert not all_gone([child])
        parent.kill()
        until(lambda: all_gone([child]))


def test_children_are_made_in_the_main_thread_only() -> None:
    code = """
import signal, threading
from tixxety.processes.child_process import TiedProcess
def make():
    try:
        TiedProcess(["true"], when_orphaned=signal.SIGKILL)
    except RuntimeError:
        print("refused")
thread = threading.Thread(target=make)
thread.start()
thread.join()
"""
    assert subprocess.check_output(python(code), cwd=ROOT, text=True) == "refused\n"


def test_a_stop_goes_from_gentle_to_hard() -> None:
    process = TiedProcess(python(DEAF), when_orphaned=signal.SIGKILL, stdout=subprocess.PIPE)
    assert process.process.stdout is not None
    with process.process.stdout as output:
        assert output.readline() == b"up\n"
    process.stop((signal.SIGTERM, 0.1))
    assert process.process.returncode == -signal.SIGKILL
