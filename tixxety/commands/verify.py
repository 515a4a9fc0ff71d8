"""`tixxety verify`: reads everything once and says whether all is well, and where not, which rule is broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tixxety.errors import FileUnreadable, WrongArgument
from tixxety.options import Home, box_office
from tixxety.processes.stop_signals import run
from tixxety.terminal.progress import progress_bar

if TYPE_CHECKING:
    from auditing.findings import Finding, Report
    from auditing.verify.checks.kept_seal import KeptSeal

AsJson = Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")]
SinceSeal = Annotated[
    int | None,
    typer.Option("--since-seal", metavar="NUMBER", min=1, help="Only this seal, what came after it, and what grew."),
]
SealFile = Annotated[
    Path | None,
    typer.Option("--seal", metavar="FILE", help="A seal that was kept elsewhere, which has to be there still."),
]
ExportFile = Annotated[
    Path | None,
    typer.Option(
        "--file", metavar="FILE", help="Verify an export instead: neither settings nor a database are needed."
    ),
]


def verify(
    home: Home = None,
    as_json: AsJson = False,
    since_seal: SinceSeal = None,
    seal: SealFile = None,
    file: ExportFile = None,
) -> None:
    """Prove the history and all that is made of it, or an export of it.

    Ends with 0 where all is well, with 1 where it is not, and with 2 where it could not be looked at.
    """
    import msgspec

    kept = read_seal(seal) if seal is not None else None
    if file is None:
        report = verify_box_office(home, since_seal, kept)
    elif since_seal is not None:
        raise WrongArgument("Give --file or --since-seal: a file is verified as a whole.")
    else:
        from auditing.verify.file.verify_file import verify_file
        from auditing.verify.garbage_collection import sparing_collector

        with sparing_collector(), progress_bar("verifying") as on_progress:
            report = verify_file(file, kept=kept, on_progress=on_progress)
    typer.echo(msgspec.json.format(msgspec.json.encode(report)) if as_json else "\n".join(in_words(report)))
    raise typer.Exit(0 if report.ok else 1)


def verify_box_office(home: str | None, since_seal: int | None, kept: KeptSeal | None) -> Report:
    """What the settings mean."""
    from auditing.verify.database.verify_database import verify as verify_database

    with box_office(home) as url, progress_bar("verifying") as on_progress:
        return run(verify_database(url, since_seal=since_seal, kept=kept, on_progress=on_progress))


def read_seal(path: Path) -> KeptSeal:
    """The seal in a file. Raises FileUnreadable, and SealInvalid for what is no seal."""
    from auditing.verify.checks import kept_seal

    try:
        return kept_seal.read(path.read_bytes())
    except OSError as error:
        raise FileUnreadable(f"{path} cannot be read: {error.strerror or error}.") from error


def in_words(report: Report) -> Iterator[str]:
    """The report for people, line by line."""
    from auditing.verify.database.protection import BY_BOTH

    since = f" Only seal {report.since_seal}, and what came after it." if report.since_seal else ""
    yield f"Verified {report.domain_events:,} domain events, up to position {report.head:,}.{since}"
    if report.newest_seal is None:
        yield "Nothing is sealed yet: whoever may write to it could have changed it."
    else:
        tail = f"; {report.unsealed:,} after it are not sealed yet" if report.unsealed else ""
        yield f"Sealed up to position {report.sealed_through:,} by seal {report.newest_seal:,}{tail}."
    if report.signed_by is not None:
        keys = ", ".join(report.signed_by) or "no key"
        yield f"The file's seals are signed with {keys}: compare with what the box office publishes, or give --seal."
    elif report.projections_position is not None:
        yield f"The tables for reading are folded up to position {report.projections_position:,}."
    else:
        yield "The tables for reading are of another version of this program, and were not compared."
    if report.append_only not in (None, BY_BOTH):
        yield f"The database keeps this login from changing the history by {report.append_only}: run tixxety migrate."
    if report.ok:
        yield "All is well."
        return
    yield f"NOT WELL: {report.findings_count:,} times a rule is broken. First:"
    for finding in report.findings:
        yield line_of(finding)
    if report.findings_count > len(report.findings):
        yield f"  … and {report.findings_count - len(report.findings):,} more."


def line_of(finding: Finding) -> str:
    """One finding as a line."""
    where = f"position {finding.position:,}" if finding.position is not None else "no position"
    return f"  {where}: {finding.rule}: {finding.sentence} ({finding.place})"
