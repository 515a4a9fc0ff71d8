"""Processor time of all that the testbed runs, by what it works for: programs, sessions, the rest of PostgreSQL."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psutil
import psycopg

API, WORKER, MIGRATION = "api", "worker", "migration"
WRITING, PROJECTING, OTHERS, BESIDE = "pg_writing", "pg_projecting", "pg_others", "beside"
SERVING = (API, WORKER, WRITING, PROJECTING, OTHERS)

SESSIONS = "SELECT pid, datname, application_name FROM pg_stat_activity WHERE datname IS NOT NULL"


class Program(NamedTuple):
    """One program of the testbed: `API` or `WORKER`, the database that it uses, and the URL where it answers.

    `seals` is said of a worker that does.
    """

    part: str
    database_url: str
    url: str = ""
    seals: bool = False

    @property
    def database(self) -> str:
        """The name of the database."""
        return urlsplit(self.database_url).path[1:]


@dataclass
class ProcessorTime:
    """Seconds since each process began, at one moment. `ended` are those of PostgreSQL's processes that are gone."""

    programs: dict[int, float] = field(default_factory=dict)
    postgres: dict[int, float] = field(default_factory=dict)
    ended: float = 0.0
    sessions: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """All of them together."""
        return sum(self.programs.values()) + sum(self.postgres.values()) + self.ended


def read(server_url: str, server_pid: int, programs: Mapping[int, Program]) -> ProcessorTime:
    """Now. It costs some milliseconds; the kernel counts in hundredths of a second for each process."""
    with psycopg.connect(server_url) as connection:
        sessions = {pid: (database, name) for pid, database, name in connection.execute(SESSIONS)}
    return replace(read_processes(server_pid, programs), sessions=sessions)


def read_processes(server_pid: int, programs: Iterable[int]) -> ProcessorTime:
    """The same without asking PostgreSQL whose its sessions are, which takes some of its time itself."""
    now = ProcessorTime()
    children = processes_by_parent()
    for pid in programs:
        now.programs[pid] = sum(own_seconds(each) for each in family(pid, children))
    for each in family(server_pid, children):
        now.postgres[each.pid] = own_seconds(each)
    with suppress(psutil.NoSuchProcess):
        times = psutil.Process(server_pid).cpu_times()
        now.ended = times.children_user + times.children_system
    return now


def spent(
    before: ProcessorTime, after: ProcessorTime, served: Program, programs: Mapping[int, Program]
) -> dict[str, float]:
    """Seconds between two moments by part, where `served` was loaded; `BESIDE` is what other programs have spent.

    A session that the worker has opened is `PROJECTING`, any other of the database `WRITING`: those of the API, which
    read as well, though hardly in a rush. `OTHERS` are PostgreSQL's own processes, such as the walwriter, and whatever
    has ended in between; the server has its whole time then, of which what it had spent before is taken off.
    """
    seconds: dict[str, float] = defaultdict(float)
    for pid, total in after.programs.items():
        one = programs[pid]
        is_worker = one.part == WORKER and one.database == served.database
        seconds[one.part if one == served or is_worker else BESIDE] += total - before.programs.get(pid, 0.0)
    for pid, total in after.postgres.items():
        where, name = after.sessions.get(pid, ("", ""))
        part = OTHERS
        if where == served.database:
            part = PROJECTING if name == WORKER else WRITING
        elif where:
            part = BESIDE
        seconds[part] += total - before.postgres.get(pid, 0.0)
    seconds[OTHERS] += after.ended - before.ended
    seconds[OTHERS] -= sum(total for pid, total in before.postgres.items() if pid not in after.postgres)
    return {part: seconds[part] for part in (*SERVING, BESIDE)}


def each_us(seconds: Mapping[str, float], answers: int) -> dict[str, float]:
    """Microseconds an answer by part, and the sum of all that serve; the parts that nothing belongs to are left out."""
    told = {f"{part}_us": total / answers * 1e6 for part, total in seconds.items() if total}
    return told | {"sum_us": sum(seconds[part] for part in SERVING) / answers * 1e6}


def processes_by_parent() -> dict[int, list[psutil.Process]]:
    """All processes of the machine, read once: psutil would read them again for each whose children are asked for."""
    children: dict[int, list[psutil.Process]] = defaultdict(list)
    for process in psutil.process_iter(["ppid"]):
        children[process.info["ppid"]].append(process)
    return children


def family(pid: int, children: Mapping[int, list[psutil.Process]]) -> list[psutil.Process]:
    """The process and all below it, none when it is gone."""
    found = []
    with suppress(psutil.NoSuchProcess):
        found.append(psutil.Process(pid))
    for each in found:
        found += children.get(each.pid, [])
    return found


def own_seconds(process: psutil.Process) -> float:
    """What it has spent itself, 0 when it is gone."""
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return times.user + times.system
    return 0.0


def named(database_url: str, name: str) -> str:
    """The URL by which a program's sessions are listed under this name."""
    place = urlsplit(database_url)
    return urlunsplit(place._replace(query=urlencode([*parse_qsl(place.query), ("application_name", name)])))
