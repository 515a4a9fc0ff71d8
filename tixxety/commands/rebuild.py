"""`tixxety rebuild`: folds all tables for reading anew while everybody goes on, and tells how far it is."""

import json
import time
from typing import Annotated

import typer

from eventstore.postgres.connections import connect_as_owner
from projections.rebuilding.rebuild import Rebuilt
from projections.rebuilding.swap import drop_old as drop_old_tables
from tixxety.options import Home, box_office
from tixxety.processes.stop_signals import run
from tixxety.schema.rebuild_tables import PATIENCE_SECONDS, rebuild_tables

DropOld = Annotated[bool, typer.Option("--drop-old", help="Only drop the tables that the last rebuild has put aside.")]
Patience = Annotated[float, typer.Option(min=0, help="How many seconds to wait for readers before the swap.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what was done as one JSON object.")]


def rebuild(
    home: Home = None, drop_old: DropOld = False, patience: Patience = PATIENCE_SECONDS, as_json: AsJson = False
) -> None:
    """Fold all tables for reading anew from the whole history, while they serve; then swap."""
    with box_office(home, as_owner=True) as url:
        if drop_old:
            done = "dropped" if drop_tables_put_aside(url) else "nothing to drop"
            typer.echo(json.dumps({"old_tables": done}) if as_json else f"The tables put aside: {done}.")
            return
        began = time.monotonic()
        rebuilt = rebuild_tables(url, patience)
        seconds = time.monotonic() - began
    typer.echo(json.dumps(as_dict(rebuilt, seconds)) if as_json else "\n".join(in_words(rebuilt, seconds)))


def drop_tables_put_aside(database_url: str) -> bool:
    """Whether there were any. Raises `OldTablesInUse`."""

    async def drop() -> bool:
        async with await connect_as_owner(database_url) as owner:
            return await drop_old_tables(owner)

    return run(drop())


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
