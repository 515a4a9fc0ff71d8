"""Waiting for other processes, with a bound."""

import threading
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")
LOOKS_PER_SECOND = 20


def until(look: Callable[[], T | None], seconds: float = 30) -> T:
    """What `look` gives as soon as that is anything; AssertionError when it gives nothing for so long."""
    pause = threading.Event()
    for _ in range(int(seconds * LOOKS_PER_SECOND)):
        if found := look():
            return found
        pause.wait(1 / LOOKS_PER_SECOND)
    raise AssertionError(f"nothing came of {look} in {seconds} s")


def family(pid: int) -> list[psutil.Process]:
    """A process and everything below it."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def all_gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs; one that nobody has reaped yet does not run."""
    return not [process for process in processes if runs(process)]


def runs(process: psutil.Process) -> bool:
    """Whether it is there and more than a zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
