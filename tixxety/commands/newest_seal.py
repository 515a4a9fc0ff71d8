"""`tixxety newest-seal`: what proves the history, to be kept elsewhere."""

import msgspec
import typer

from auditing.verify.checks import kept_seal
from auditing.verify.checks.kept_seal import NewestSeal
from eventstore.postgres.connections import connect
from tixxety.errors import Failure
from tixxety.options import Home, To, box_office
from tixxety.processes.stop_signals import run
from tixxety.terminal.atomic_files import written_whole

NO_SEAL = "Nothing is sealed yet: a worker seals what was recorded every few seconds."


def newest_seal(to: To = None, home: Home = None) -> None:
    """Print the newest seal with its key, to keep where nobody who can change the database can change it too."""
    with box_office(home) as url:
        kept = run(read_newest(url))
    text = msgspec.json.encode(kept).decode() + "\n"
    if to is None:
        typer.echo(text, nl=False)
        return
    with written_whole(to) as file:
        file.write(text.encode())
    typer.echo(
        f"{to} has seal {kept.number:,}, which covers everything up to position {kept.last_position:,}.", err=True
    )


async def read_newest(database_url: str) -> NewestSeal:
    """Raises Failure where there is no seal."""
    async with await connect(database_url) as connection:
        kept = await kept_seal.newest(connection)
    if kept is None:
        raise Failure(NO_SEAL)
    return kept
