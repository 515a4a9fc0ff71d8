"""`tixxety export`: the history, or one event's part of it, in a file that proves itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO
from uuid import UUID

import typer

from tixxety.failures import Failure
from tixxety.options import Home, box_office
from tixxety.progress import progress_bar
from tixxety.whole_files import written_whole

if TYPE_CHECKING:
    from auditing.export import Writer

FORMATS = ("ndjson", "parquet", "cloudevents")

EventId = Annotated[str | None, typer.Option("--event", metavar="ID", help="Only what is about this event.")]
Format = Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="What to write.")]
To = Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to; by default standard output.")]


class CannotExport(Failure):
    """What was asked for cannot be exported."""


def export(event: EventId = None, form: Format = "ndjson", to: To = None, home: Home = None) -> None:
    """Write the history with its seals, or one event's part of it, as it is at this moment.

    What is written as NDJSON or Parquet can be checked anywhere with tixxety verify --file.
    """
    from auditing.export import export as write_export

    event_id = event_id_of(event) if event is not None else None
    with ExitStack() as stack:
        writer = stack.enter_context(opened(form, to))
        url = stack.enter_context(box_office(home))
        tell = stack.enter_context(progress_bar("exporting"))
        end = asyncio.run(write_export(url, event_id, writer, tell))
    if to is not None:
        typer.echo(f"{to} has {end.domain_events:,} domain events and {end.seals:,} seals.", err=True)


def event_id_of(text: str) -> UUID:
    """Raises CannotExport for what is no UUID."""
    try:
        return UUID(text)
    except ValueError:
        raise CannotExport(f"{text} is no event's id: give a UUID.") from None


@contextmanager
def opened(form: str, to: Path | None) -> Iterator[Writer]:
    """A writer of some format; what it writes is in the file after the block, or nothing is. Raises CannotExport."""
    from auditing.export import CloudEvents, Ndjson

    if form not in FORMATS:
        raise CannotExport(f"There is no format {form}: choose one of {', '.join(FORMATS)}.")
    if form == "parquet":
        if to is None:
            raise CannotExport("Parquet is written to a file: name one with --to.")
        from auditing.export_parquet import Parquet

        with written_whole(to) as file, Parquet(file) as parquet:
            yield parquet
        return
    with output(to) as file:
        yield Ndjson(file) if form == "ndjson" else CloudEvents(file)


@contextmanager
def output(to: Path | None) -> Iterator[BinaryIO]:
    """The file, written whole or not at all; standard output without one."""
    if to is not None:
        with written_whole(to) as file:
            yield file
        return
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()
