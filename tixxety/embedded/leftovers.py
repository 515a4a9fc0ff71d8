"""What a dead owner may leave of its PostgreSQL: a server, backends without a server, a stale pid file."""

import signal
from pathlib import Path

import psutil

from tixxety.errors import PostgresFailed


def end_leftovers(data: Path, cluster_name: str) -> None:
    """End every process of the cluster and remove its pid file where PostgreSQL would take another process for it.

    Call it only while holding the home's lock. Raises PostgresFailed when something survives; takes 20 s at most.
    """
    _end(servers_of(data), (signal.SIGINT, 10.0), (signal.SIGQUIT, 3.0))
    # Backends end by themselves without their server, but for one in the middle of a long computation.
    _end(backends_of(cluster_name), (signal.SIGQUIT, 3.0))
    remaining = [process.pid for process in (*servers_of(data), *backends_of(cluster_name))]
    if remaining:
        raise PostgresFailed(f"An earlier PostgreSQL of {data} does not end (processes {remaining}).")
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    # A zombie, or another program that was given the number: PostgreSQL only sees that the number is taken.
    if psutil.pid_exists(pid):
        pid_file.unlink(missing_ok=True)


def servers_of(data: Path) -> list[psutil.Process]:
    """The server processes that run on a data folder: at most one, unless something is very wrong."""
    return [
        process
        for process, words in _processes()
        if len(words) > 2 and words[0].endswith("postgres") and words[1:3] == ["-D", str(data)]
    ]


def backends_of(cluster_name: str) -> list[psutil.Process]:
    """The processes of a cluster other than the server, which carry the cluster's name in their titles."""
    title = f"postgres: {cluster_name}: "
    return [process for process, words in _processes() if words and words[0].startswith(title)]


def _processes() -> list[tuple[psutil.Process, list[str]]]:
    return [(process, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]


def _end(processes: list[psutil.Process], *steps: tuple[signal.Signals, float]) -> None:
    for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
        for process in processes:
            if process.is_running():
                process.send_signal(number)
        _, processes = psutil.wait_procs(processes, timeout=seconds)
        if not processes:
            return
