"""`tixxety newest-seal` gives what proves the history; `tixxety rotate-seal-key` has it signed with a new key."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import msgspec
import psycopg
import typer

from auditing.verify.database import kept_seal
from auditing.verify.database.kept_seal import NewestSeal
from eventstore.postgres.connections import connect
from eventstore.seals import seal_keys
from tixxety.errors import Failure
from tixxety.options import Home, box_office, expect_current_schema
from tixxety.processes.stop_signals import run
from tixxety.settings import database, read_settings
from tixxety.terminal.atomic_files import written_whole

To = Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to; by default standard output.")]

NO_SEAL = "Nothing is sealed yet: a worker seals what was recorded every few seconds."
MAY_NOT_ROTATE = "This login may not change the keys: set MIGRATE_DATABASE_URL to the one that migrates."
# A connection acts as the role that serves, which may read the keys and no more.
AS_MYSELF = "RESET ROLE"


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


def rotate_seal_key(home: Home = None) -> None:
    """Sign with a new key from now on, and destroy the old one; what it has signed can still be checked."""
    settings = read_settings(home)
    migrating = settings.migrate_database_url
    with nullcontext(migrating) if migrating else database(settings, brief=True) as url:
        expect_current_schema(settings, url)
        key_id = run(rotate(url))
    typer.echo(f"Seals are signed with the key {key_id} from now on.")


async def read_newest(database_url: str) -> NewestSeal:
    """Raises Failure where there is no seal."""
    async with await connect(database_url) as connection:
        kept = await kept_seal.newest(connection)
    if kept is None:
        raise Failure(NO_SEAL)
    return kept


async def rotate(database_url: str) -> str:
    """The new key's id. Raises Failure where the login may not."""
    async with await connect(database_url) as connection:
        await connection.execute(AS_MYSELF)
        try:
            return await seal_keys.rotate(connection)
        except psycopg.errors.InsufficientPrivilege:
            raise Failure(MAY_NOT_ROTATE) from None
