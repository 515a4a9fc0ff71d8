"""`tixxety rotate-seal-key`: a new key for the seals to come."""

import typer
from psycopg.errors import InsufficientPrivilege

from eventstore.postgres.connections import ANSWER_SECONDS, connect_as_owner
from eventstore.seals import seal_keys
from tixxety.errors import Failure
from tixxety.options import Home, expect_current_schema
from tixxety.processes.stop_signals import run
from tixxety.settings import owned_database, read_settings

MAY_NOT_ROTATE = "This login may not change the keys: set MIGRATE_DATABASE_URL to the one that migrates."


def rotate_seal_key(home: Home = None) -> None:
    """Sign with a new key from now on, and destroy the old one; what it has signed can still be checked."""
    settings = read_settings(home)
    with owned_database(settings) as url:
        expect_current_schema(settings, url)
        key_id = run(rotate(url))
    typer.echo(f"Seals are signed with the key {key_id} from now on.")


async def rotate(database_url: str) -> str:
    """The new key's id. Raises Failure where the login may not."""
    async with await connect_as_owner(database_url, ANSWER_SECONDS) as connection:
        try:
            return await seal_keys.rotate(connection)
        except InsufficientPrivilege:
            raise Failure(MAY_NOT_ROTATE) from None
