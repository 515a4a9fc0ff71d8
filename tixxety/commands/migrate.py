"""`tixxety migrate`: the database's schema, brought up to date."""

import typer

from tixxety.options import Home
from tixxety.schema import migration
from tixxety.settings import owned_database, read_settings


def migrate(home: Home = None) -> None:
    """Bring the database to this program's schema; safe to run again, and by many at once."""
    with owned_database(read_settings(home)) as url:
        notes = migration.migrate(url)
    for note in notes:
        typer.echo(note, err=True)
    typer.echo("The schema is current.")
