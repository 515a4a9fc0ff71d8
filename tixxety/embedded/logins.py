"""The logins by which API and worker come to the embedded PostgreSQL: their roles' own, never the superuser's."""

from urllib.parse import urlsplit, urlunsplit

from psycopg import sql

from eventstore.box_office import APP_ROLE, WORKER_ROLE, BoxOffice
from eventstore.postgres.connections import connect_as_owner
from tixxety.embedded.home import Home
from tixxety.errors import PostgresFailed
from tixxety.processes.stop_signals import run
from tixxety.schema.database_roles import retried, scram_verifier

LET_LOG_IN = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")


def login_url(home: Home, superuser_url: str, role: str) -> str:
    """The same database by the role's own login, whose password is made once for each home."""
    parts = urlsplit(superuser_url)
    place = parts.netloc.rpartition("@")[2]
    name = BoxOffice.at(superuser_url).roles[role]
    return urlunsplit(parts._replace(netloc=f"{name}:{_password(home, name)}@{place}"))


def open_logins(home: Home, superuser_url: str) -> None:
    """Let both roles, which `migrate` has made, log in with the home's passwords. Raises `PostgresFailed`.

    The server is told what checks a password, never the password: it may write any statement to its log.
    """
    run(_open(home, superuser_url))


async def _open(home: Home, superuser_url: str) -> None:
    async with await connect_as_owner(superuser_url) as owner:

        async def let_log_in() -> None:
            for role in (owner.box_office.roles[role] for role in (APP_ROLE, WORKER_ROLE)):
                verifier = scram_verifier(owner, role, _password(home, role))
                await owner.execute(LET_LOG_IN.format(sql.Identifier(role), sql.Literal(verifier)))

        if not await retried(let_log_in):
            raise PostgresFailed("Others keep changing the logins of API and worker: try again.")


def _password(home: Home, role: str) -> str:
    return home.secret(f"{role}.password")
