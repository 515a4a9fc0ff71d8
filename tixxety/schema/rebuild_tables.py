"""Rebuilds the tables for reading, and tells on standard error how far it is and what differed."""

from eventstore.errors import Failure
from projections.rebuilding.differences import Differences
from projections.rebuilding.rebuild import Progress, Rebuilt, rebuild
from tixxety.processes.child_process import spare_collector
from tixxety.processes.stop_signals import run
from tixxety.terminal.progress import reporting
from tixxety.terminal.say import say

PATIENCE_SECONDS = 60.0
STEPS = {
    "fold": "Folding the history",
    "index": "Making the indexes",
    "compare": "Comparing with the live tables",
    "swap": "Waiting for a moment to swap",
    "fold on": "Folding on",
}


def rebuild_tables(database_url: str, patience_seconds: float) -> Rebuilt:
    """Rebuild while the live tables serve, then swap. Raises what `projections.rebuilding.rebuild.rebuild` raises."""
    spare_collector()
    with reporting() as report:

        def tell(progress: Progress) -> None:
            report.tell(STEPS[progress.step], progress.position, progress.goal)

        def tell_differences(found: Differences) -> None:
            for line in lines_of(found):
                report.say(line)

        return run(rebuild(database_url, tell, tell_differences, patience_seconds))


def lines_of(found: Differences) -> list[str]:
    """The rows that differ, as far as they are shown, and how many of each table."""
    counted = [f"{table}: {f'rows that differ: {rows:,}' if rows else 'equal'}" for table, rows in found.rows.items()]
    return [*map(str, found.shown), *counted]


def rebuild_first(database_url: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Rebuild before anything serves; where it can't be done now, say why and let the older tables serve."""
    say("The tables for reading are of an older version: rebuilding them first. Stopped, it goes on at the next start.")
    try:
        rebuilt = rebuild_tables(database_url, patience_seconds)
    except Failure as failure:
        say(f"{failure} Until they are rebuilt, the older tables serve.")
    else:
        say(f"The tables for reading are rebuilt, at position {rebuilt.position:,}.")
