"""`tixxety migrate` comes by its own login."""

from tests.tixxety.forked import run_command

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def test_migrate_takes_its_own_login_and_can_run_again(empty_database_url: str) -> None:
    for _ in range(2):
        done = run_command("migrate", DATABASE_URL=NOWHERE, MIGRATE_DATABASE_URL=empty_database_url)
        assert (done.returncode, done.stdout) == (0, "The schema is current.\n")
