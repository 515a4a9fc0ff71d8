"""Whose processor time it was: programs by what they are for, sessions by who opened them, and whatever has ended."""

import os
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from bench.processor_time import (
    API,
    WORKER,
    ProcessorTime,
    Program,
    each_us,
    family,
    named,
    own_seconds,
    processes_by_parent,
    spent,
)

OURS = Program(API, "postgresql://h/ours?x=y", "http://127.0.0.1:1")
PROGRAMS = {1: OURS, 2: Program(WORKER, OURS.database_url), 3: Program(API, "postgresql://h/theirs", "http://h:2")}
SESSIONS = {11: ("ours", "api"), 12: ("ours", "worker"), 13: ("theirs", "")}


def test_each_second_is_counted_once_and_for_whom_it_was_spent() -> None:
    before = ProcessorTime({1: 1, 2: 2, 3: 3}, {10: 1, 11: 1, 12: 1, 13: 1, 14: 5}, 100, SESSIONS)
    # 14 has ended: the server has its 5.25 seconds now, of which 5 were spent before.
    after = ProcessorTime({1: 3, 2: 3, 3: 3.5}, {10: 1.5, 11: 5, 12: 9, 13: 17}, 105.25, SESSIONS)
    seconds = spent(before, after, OURS, PROGRAMS)
    assert seconds == {"api": 2, "worker": 1, "pg_writing": 4, "pg_projecting": 8, "pg_others": 0.75, "beside": 16.5}
    assert sum(seconds.values()) == after.total - before.total


def test_another_api_on_the_same_database_is_beside() -> None:
    other = OURS._replace(url="http://127.0.0.1:9")
    before = ProcessorTime({1: 0, 2: 0, 4: 0})
    seconds = spent(before, ProcessorTime({1: 1, 2: 2, 4: 4}), other, PROGRAMS | {4: other})
    assert (seconds["api"], seconds["worker"], seconds["beside"]) == (4, 2, 1)


def test_microseconds_an_answer_add_up_to_those_that_serve() -> None:
    seconds = {"api": 2.0, "worker": 1.0, "pg_writing": 0.5, "pg_projecting": 0.0, "pg_others": 0.5, "beside": 7.0}
    told = each_us(seconds, 1_000_000)
    assert told == pytest.approx(
        {"api_us": 2, "worker_us": 1, "pg_writing_us": 0.5, "pg_others_us": 0.5, "beside_us": 7, "sum_us": 4}
    )


def test_a_process_counts_with_all_below_it_and_not_at_all_once_it_is_gone() -> None:
    # It has spent a tenth of a second when it speaks.
    spending = "import time\nwhile time.process_time() < 0.1: pass\nprint(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", spending], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in [each.pid for each in family(os.getpid(), processes_by_parent())]
        one = psutil.Process(child.pid)
        assert own_seconds(one) >= 0.09
        child.communicate(b"\n")
    assert own_seconds(one) == 0
    assert family(child.pid, processes_by_parent()) == []


def test_sessions_bear_the_name_of_their_program() -> None:
    url = "postgresql://user:secret@h:1/ours?sslmode=disable"
    assert parse_qs(urlsplit(named(url, "worker")).query) == {"sslmode": ["disable"], "application_name": ["worker"]}
    assert named(url, "worker").startswith(url)
