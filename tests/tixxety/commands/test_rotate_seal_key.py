"""`tixxety rotate-seal-key`: the key is rotated by the login that migrates."""

import psycopg

from tests.tixxety.forked import run_command as tixxety
from tixxety.schema.migration import migrate


def test_the_key_is_rotated_by_the_login_that_migrates(database_url: str) -> None:
    migrate(database_url)
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    done = tixxety("rotate-seal-key", DATABASE_URL=nowhere, MIGRATE_DATABASE_URL=database_url)
    with psycopg.connect(database_url) as connection:
        keys = connection.execute("SELECT key_id FROM tixxety.seal_keys WHERE retired_at IS NULL").fetchall()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Seals are signed with the key {keys[0][0]} from now on.\n"
