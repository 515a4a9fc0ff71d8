"""Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_SECONDS = 5.0

Tell = Callable[[int, int], None]


@contextmanager
def progress_bar(doing: str) -> Iterator[Tell]:
    """Progress for the duration of the block; call what it gives with how much is done, and of how much."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lines(doing)
        return
    with bar(console) as progress:
        task = progress.add_task(doing, total=None, rate="")

        def tell(done: int, total: int) -> None:
            speed = progress.tasks[0].speed
            progress.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield tell


def bar(console: Console) -> Progress:
    """A bar with its numbers, gone when its block ends; its tasks have the field `rate`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def lines(doing: str) -> Tell:
    """Says how far it is every few seconds, in a line of its own; of what is soon done, nothing."""
    began = told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= LINE_SECONDS:
            told = now
            rate = done / (now - began)
            left = f", {(total - done) / rate:,.0f} s left" if rate else ""
            sys.stderr.write(f"{doing}: {done:,} of {total:,}, {rate:,.0f}/s{left}\n")
            sys.stderr.flush()

    return tell
