"""`tixxety export`: the history, or one event's part of it, in a file that proves itself or for analysis."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO
from uuid import UUID

import typer

from projections.progress_callback import ProgressCallback, no_progress
from tixxety.errors import WrongArgument
from tixxety.options import Home, To, box_office
from tixxety.processes.stop_signals import run
from tixxety.terminal.atomic_files import written_whole
from tixxety.terminal.progress import progress_bar

if TYPE_CHECKING:
    from auditing.export.write_export import Writer

CHECKER_ENDING = ".checker.py"
FORMATS = ("ndjson", "parquet", "cloudevents")
TABLE_FORMATS = ("ndjson", "parquet", "csv")

EventId = Annotated[UUID | None, typer.Option("--event", metavar="ID", help="Only what is about this event.")]
TableName = Annotated[
    str | None,
    typer.Option("--table", metavar="NAME", help="A table or view of the projections instead of the history."),
]
WithChecker = Annotated[
    bool,
    typer.Option("--with-checker", help="Also a program that checks the file with nothing but Python and one package."),
]
Format = Annotated[
    str, typer.Option("--format", metavar="FORMAT", help="ndjson or parquet; also cloudevents, or csv for a table.")
]


def export(
    event: EventId = None,
    table: TableName = None,
    form: Format = "ndjson",
    to: To = None,
    with_checker: WithChecker = False,
    home: Home = None,
) -> None:
    """Write the history with its seals, or one event's part of it, or a table or view, as it is at this moment.

    The history as NDJSON can be checked anywhere with tixxety verify --file, and with what --with-checker writes beside
    it, FILE.checker.py; other formats prove nothing.
    """
    if table is not None and event is not None:
        raise WrongArgument("Give --event or --table: a table is exported as a whole.")
    if with_checker and (table is not None or form != "ndjson" or to is None):
        raise WrongArgument("--with-checker goes with the history as NDJSON in a file: the rest proves nothing.")
    if table is not None:
        export_table(table, form, to, home)
    else:
        export_history(event, form, to, home)
    if with_checker and to is not None:
        write_checker(to)


def export_history(event_id: UUID | None, form: str, to: Path | None, home: str | None) -> None:
    """Write all of it, or one event's part; how much it is, is said on standard error where that goes to a file."""
    from auditing.export.write_export import export as write_export

    with ExitStack() as stack:
        writer = stack.enter_context(opened(form, to))
        url = stack.enter_context(box_office(home))
        tell = stack.enter_context(progress(to))
        end = run(write_export(url, event_id, writer, tell))
    if to is not None:
        proof = f"{end.seals:,} seals" if form == "ndjson" else "nothing that proves them"
        typer.echo(f"{to} has {end.domain_events:,} domain events and {proof}.", err=True)


def write_checker(export_file: Path) -> None:
    """Write what checks the export beside it, under its name with an ending."""
    beside = export_file.with_name(export_file.name + CHECKER_ENDING)
    with written_whole(beside) as file:
        file.write(resources.files("auditing.export").joinpath("checker.py").read_bytes())
    typer.echo(f"{beside} checks it: python3 {beside} {export_file}", err=True)


def export_table(name: str, form: str, to: Path | None, home: str | None) -> None:
    """Write a table; how many rows, and which position they show, is said on standard error, since CSV can't tell."""
    from projections.exporting import table_export as tables

    tables.expect_table(name)
    expect_format(form, TABLE_FORMATS, to)
    write: tables.Write = tables.write_csv if form == "csv" else tables.write_ndjson
    if form == "parquet":
        from projections.exporting.parquet import write_parquet

        write = write_parquet
    with output(to) as file, box_office(home) as url, progress(to) as tell:
        written = run(tables.export_table(url, name, write, file, tell))
    typer.echo(f"{name} has {written.rows:,} rows at position {written.position:,}.", err=True)


def progress(to: Path | None) -> AbstractContextManager[ProgressCallback]:
    """None on a terminal that shows the export itself."""
    if to is None and sys.stdout.isatty():
        return nullcontext(no_progress)
    return progress_bar("exporting")


def expect_format(form: str, formats: tuple[str, ...], to: Path | None) -> None:
    """Raises WrongArgument for a format that is none of these, or that standard output can't take."""
    if form not in formats:
        raise WrongArgument(f"There is no format {form} for this: choose one of {', '.join(formats)}.")
    if form == "parquet" and to is None:
        raise WrongArgument("Parquet is written to a file: name one with --to.")


@contextmanager
def opened(form: str, to: Path | None) -> Iterator[Writer]:
    """A writer of some format; what it writes is in the file after the block, or nothing is. Raises WrongArgument."""
    from auditing.export.write_export import CloudEvents, Ndjson

    expect_format(form, FORMATS, to)
    with output(to) as file:
        if form == "parquet":
            from auditing.export.parquet_writer import Parquet

            with Parquet(file) as parquet:
                yield parquet
        else:
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
