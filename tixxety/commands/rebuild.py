"""`tixxety rebuild`: folds all tables for reading anew while everybody goes on, and tells how far it is."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from eventstore.errors import Failure
from tixxety.options import Home, expect_current_schema
from tixxety.processes.child_process import spare_collector
from tixxety.processes.stop_signals import run
from tixxety.settings import database, read_settings
from tixxety.terminal.say import say

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from projections.rebuilding.differences import Differences
    from projections.rebuilding.rebuild import Progress, Rebuilt

PATIENCE_SECONDS = 60.0
LINE_SECONDS = 5.0
STEPS = {
    "fold": "Folding the history",
    "index": "Making the indexes",
    "compare": "Comparing with the live tables",
    "swap": "Waiting for a moment to swap",
    "fold on": "Folding on",
}

DropOld = Annotated[bool, typer.Option("--drop-old", help="Only drop the tables that the last rebuild has put aside.")]
Patience = Annotated[float, typer.Option(min=0, help="How many seconds to wait for readers before the swap.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what was done as one JSON object.")]


def rebuild(
    home: Home = None, drop_old: DropOld = False, patience: Patience = PATIENCE_SECONDS, as_json: AsJson = False
) -> None:
    """Fold all tables for reading anew from the whole history, while they serve; then swap."""
    settings = read_settings(home)
    with database(settings, brief=True) as url:
        expect_current_schema(settings, url)
        owner_url = settings.migrate_database_url or url
        if drop_old:
            done = "dropped" if drop_tables_put_aside(owner_url) else "nothing to drop"
            typer.echo(json.dumps({"old_tables": done}) if as_json else f"The tables put aside: {done}.")
            return
        began = time.monotonic()
        rebuilt = run_rebuild(owner_url, patience)
        seconds = time.monotonic() - began
    typer.echo(json.dumps(as_dict(rebuilt, seconds)) if as_json else "\n".join(in_words(rebuilt, seconds)))


def run_rebuild(database_url: str, patience_seconds: float) -> Rebuilt:
    """Rebuild, with progress and whatever differs on standard error. Raises what `rebuild_tables` raises."""
    from projections.rebuilding.rebuild import rebuild as rebuild_tables  # only this command needs the whole fold

    spare_collector()
    with reporting() as report:
        return run(rebuild_tables(database_url, report.tell, report.tell_differences, patience_seconds))


def drop_tables_put_aside(database_url: str) -> bool:
    """Whether there were any. Raises `OldTablesInUse`."""
    from eventstore.postgres.connections import connect_as_owner
    from projections.rebuilding.swap import drop_old

    async def drop() -> bool:
        async with await connect_as_owner(database_url) as owner:
            return await drop_old(owner)

    return run(drop())


def rebuild_first(database_url: str) -> None:
    """Rebuild before anything serves; where it can't be done now, say why and let the older tables serve."""
    say("The tables for reading are of an older version: rebuilding them first. Stopped, it goes on at the next start.")
    try:
        rebuilt = run_rebuild(database_url, PATIENCE_SECONDS)
    except Failure as failure:
        say(f"{failure} Until they are rebuilt, the older tables serve.")
    else:
        say(f"The tables for reading are rebuilt, at position {rebuilt.position:,}.")


class Report:
    """A bar on a terminal; elsewhere a line for each step, and every five seconds within one."""

    def __init__(self, bar: Bar | None) -> None:
        self._bar = bar
        self._step = ""
        self._began = (0.0, 0)
        self._line_at = 0.0

    def tell(self, progress: Progress) -> None:
        """One more batch, or the next step."""
        now = time.monotonic()
        begins = progress.step != self._step
        if begins:
            self._step, self._began = progress.step, (now, progress.position)
        if self._bar is not None:
            self._draw(self._bar, progress, begins)
        elif begins or now >= self._line_at:
            self._line_at = now + LINE_SECONDS
            self.say(self._line(progress, now))

    def tell_differences(self, found: Differences) -> None:
        """Whatever differs, before the swap."""
        for difference in found.shown:
            self.say(str(difference))
        for table, rows in found.rows.items():
            self.say(f"{table}: {f'rows that differ: {rows:,}' if rows else 'equal'}")

    def say(self, line: str) -> None:
        """One line, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def _line(self, progress: Progress, now: float) -> str:
        began_at, began_position = self._began
        folded, missing = progress.position - began_position, progress.goal - progress.position
        if progress.position == progress.goal and not folded:
            return STEPS[progress.step]
        line = f"{STEPS[progress.step]}: {progress.position:,} of {progress.goal:,}"
        if not folded or now == began_at:
            return line
        rate = folded / (now - began_at)
        return f"{line}, {rate:,.0f}/s, {missing / rate:.0f} s left"

    def _draw(self, bar: Bar, progress: Progress, begins: bool) -> None:
        if begins:
            for task in bar.tasks:
                bar.remove_task(task.id)
            bar.add_task(STEPS[progress.step], rate="")
        (task,) = bar.tasks
        rate = f"{task.speed:,.0f}/s" if task.speed else ""
        bar.update(task.id, completed=progress.position, total=progress.goal, rate=rate)


@contextmanager
def reporting() -> Iterator[Report]:
    """Reports go to standard error, so that what a command prints stays clean."""
    if not sys.stderr.isatty():
        yield Report(None)
        return
    from rich.console import Console

    from tixxety.terminal.progress import bar

    with bar(Console(stderr=True)) as drawn:
        yield Report(drawn)


def in_words(rebuilt: Rebuilt, seconds: float) -> list[str]:
    """What was done, for people."""
    rows = sum(rebuilt.differences.rows.values())
    compared = f"{rows:,} rows differed from the history" if rows else "no row differed from the history"
    lines = [f"Rebuilt and swapped at position {rebuilt.position:,} in {seconds:.1f} s; {compared}."]
    lines += [f"The view {view} still reads the tables put aside: make it again." for view in rebuilt.stale_views]
    return [*lines, "The tables put aside are kept until the next rebuild, or tixxety rebuild --drop-old."]


def as_dict(rebuilt: Rebuilt, seconds: float) -> dict[str, object]:
    """The same for programs."""
    return {
        "position": rebuilt.position,
        "resumed_at": rebuilt.resumed_at,
        "seconds": round(seconds, 3),
        "rows_that_differed": rebuilt.differences.rows,
        "differences": [difference._asdict() for difference in rebuilt.differences.shown],
        "stale_views": rebuilt.stale_views,
    }
