"""What the commands share: their options, and the box office that these stand for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from eventstore.errors import SchemaOutdated
from eventstore.postgres.pooler_check import expect_own_sessions
from tixxety.processes.stop_signals import run
from tixxety.schema.version import expect_this_version, schema_versions
from tixxety.settings import Settings, database, read_settings

Home = Annotated[
    str | None,
    typer.Option(
        "--home",
        metavar="FOLDER",
        help="Where the embedded mode keeps its data; else TIXXETY_HOME, else the user's data folder.",
    ),
]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 takes a free one.")]
To = Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to; by default standard output.")]


@contextmanager
def box_office(home: str | None, *, as_owner: bool = False) -> Iterator[str]:
    """The URL of the database that the settings mean, for a command that is soon done. Raises SchemaOutdated.

    The owner of its tables comes by MIGRATE_DATABASE_URL where that is set.
    """
    settings = read_settings(home)
    with database(settings, brief=True) as url:
        expect_current_schema(settings, url)
        yield (settings.migrate_database_url if as_owner else None) or url


def expect_database(settings: Settings, database_url: str) -> None:
    """For who is about to serve on it. Raises SharedSessions, and SchemaOutdated as `expect_current_schema` does."""
    if settings.database_url is not None:
        run(expect_own_sessions(database_url))
    expect_current_schema(settings, database_url)


def expect_current_schema(settings: Settings, database_url: str) -> None:
    """Raises SchemaOutdated where there is none yet, or another version's."""
    found = schema_versions(database_url)
    if found is None and settings.database_url is None:
        raise SchemaOutdated(f"The home {settings.home.path} has no box office yet: run tixxety up.")
    if found is None:
        raise SchemaOutdated("The database has no schema yet: run tixxety migrate.")
    expect_this_version(*found)
