"""`tixxety analyst-url`: a login for an analyst, who reads the projections and nothing else."""

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import quote, urlencode

import typer
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import DependentObjectsStillExist, InsufficientPrivilege

from eventstore.box_office import ANALYST_ROLE, BoxOffice
from eventstore.postgres.connections import Connection, connect_as_owner
from tixxety.errors import NoLogin
from tixxety.options import Home, box_office
from tixxety.processes.stop_signals import run
from tixxety.schema.database_roles import HAS_ROLE, asks, retried, scram_verifier

CONNECTIONS = 10
# What keeps an analyst's slip from hurting others. Each is a default that the login itself may change: what protects
# against malice is that it has no right but to read.
SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "lock_timeout": "5s",
}
# What a session may write beside the tables, to sort by: the login can't lift it, and only some logins may set it.
TEMPORARY_FILES = {"temp_file_limit": "1GB"}
MAY_LIMIT_FILES = "SELECT has_parameter_privilege('temp_file_limit', 'SET')"
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
# Of the connection's own parameters, those that its clients need as well.
KEPT_PARAMETERS = ("sslmode", "sslrootcert", "channel_binding")

CREATE = sql.SQL("CREATE ROLE {} LOGIN")
CHANGE = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {} CONNECTION LIMIT {}")
SET = sql.SQL("ALTER ROLE {} SET {} = {}")
JOIN = sql.SQL("GRANT {} TO {}")
DROP = sql.SQL("DROP ROLE {}")
LET_IN = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
SHUT_OUT = sql.SQL("REVOKE CONNECT ON DATABASE {} FROM {}")
END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %(login)s AND datname = current_database()
"""
IS_UNLIMITED = """
SELECT coalesce(array_to_string(rolconfig, ' '), '') !~ 'temp_file_limit=' FROM pg_roles WHERE rolname = %(login)s
"""
OTHER_DATABASES = """
SELECT datname::text FROM pg_database
WHERE datallowconn AND datname <> current_database() AND has_database_privilege(%(login)s, oid, 'CONNECT') ORDER BY 1
"""
UNLIMITED = (
    "Its temporary files are not limited, by which it can fill the server's disk: as a superuser, run "
    "ALTER ROLE {login} SET temp_file_limit = '1GB'."
)
OTHERS_OPEN = (
    "It may log in to other databases of this server too, and make tables there where anybody may: "
    "as their owner, run REVOKE CONNECT ON DATABASE {databases} FROM PUBLIC."
)


def analyst_url(
    name: Annotated[str, typer.Argument(help="Whose login: lower-case letters, digits and _.")] = "login",
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the login away instead.")] = False,
    home: Home = None,
) -> None:
    """Make a login that reads the projections alone, or give it a new password, and print its connection string."""
    if not NAME.fullmatch(name):
        raise NoLogin("The name must be 1 to 40 lower-case letters, digits or _, with a letter first.")
    with box_office(home, as_owner=True) as url:
        if revoke:
            gone = take_back(url, name)
            left = "is no more" if gone else "can't come here any more, but to another database of this server"
            typer.echo(f"The login {login_of(name)} {left}.", err=True)
        else:
            typer.echo(hand_out(url, name))
            typer.echo("It is shown this once; ask again for a new password.", err=True)
            for note in unbounded(url, name):
                typer.echo(note, err=True)


def hand_out(box_office: BoxOffice | str, name: str) -> str:
    """Make the login, or renew its password; returns the URL by which it comes. Raises `NoLogin`, `psycopg.Error`."""
    return run(_hand_out(box_office, login_of(name, box_office)))


def take_back(box_office: BoxOffice | str, name: str) -> bool:
    """Drop the login; what it has open can read nothing any more. Raises `NoLogin`, `psycopg.Error`.

    False where it was let in to another database of the server as well, and stays for that one.
    """
    return run(_take_back(box_office, login_of(name, box_office)))


def unbounded(box_office: BoxOffice | str, name: str) -> list[str]:
    """What this analyst may do to the server because nobody who could has forbidden it, a sentence each."""
    return run(_unbounded(box_office, login_of(name, box_office)))


def login_of(name: str, box_office: BoxOffice | str = "") -> str:
    """The name of the database role that this analyst logs in as."""
    return f"{BoxOffice.at(box_office).roles[ANALYST_ROLE]}_{name}"


async def _hand_out(box_office: BoxOffice | str, login: str) -> str:
    password = secrets.token_urlsafe(24)
    async with await connect_as_owner(box_office) as connection:
        analyst = connection.box_office.roles[ANALYST_ROLE]
        if not await asks(connection, HAS_ROLE, role=analyst):
            raise NoLogin(
                f"There is no role {analyst} yet: run tixxety migrate as a login that may create roles, "
                "in MIGRATE_DATABASE_URL."
            )
        hashed = scram_verifier(connection, login, password)

        async def make() -> None:
            async with connection.transaction():
                await _make(connection, login, hashed)

        await _done(login, make)
        return _url(connection, login, password)


async def _make(connection: Connection, login: str, hashed_password: str) -> None:
    role = sql.Identifier(login)
    if not await asks(connection, HAS_ROLE, role=login):
        await connection.execute(CREATE.format(role))
    await connection.execute(CHANGE.format(role, sql.Literal(hashed_password), sql.Literal(CONNECTIONS)))
    await connection.execute(JOIN.format(sql.Identifier(connection.box_office.roles[ANALYST_ROLE]), role))
    await connection.execute(LET_IN.format(sql.Identifier(connection.info.dbname), role))
    limits = TEMPORARY_FILES if await asks(connection, MAY_LIMIT_FILES) else {}
    path = {"search_path": connection.box_office.projections}
    for name, value in (path | SETTINGS | limits).items():
        await connection.execute(SET.format(role, sql.Identifier(name), sql.Literal(value)))


async def _unbounded(box_office: BoxOffice | str, login: str) -> list[str]:
    async with await connect_as_owner(box_office) as connection:
        notes = [UNLIMITED.format(login=login)] if await asks(connection, IS_UNLIMITED, login=login) else []
        others = await (await connection.execute(OTHER_DATABASES, {"login": login})).fetchall()
        names = ", ".join(name for (name,) in others)
        return [*notes, OTHERS_OPEN.format(databases=names)] if names else notes


async def _take_back(box_office: BoxOffice | str, login: str) -> bool:
    async with await connect_as_owner(box_office) as connection:
        if not await asks(connection, HAS_ROLE, role=login):
            raise NoLogin(f"There is no login {login}.")

        stays = False

        async def drop() -> None:
            nonlocal stays
            role, database = sql.Identifier(login), sql.Identifier(connection.info.dbname)
            await connection.execute(SHUT_OUT.format(database, role))
            try:
                await connection.execute(DROP.format(role))
            except DependentObjectsStillExist:
                await connection.execute(END_SESSIONS, {"login": login})
                stays = True

        await _done(login, drop)
        return not stays


async def _done(login: str, attempt: Callable[[], Awaitable[None]]) -> None:
    try:
        done = await retried(attempt)
    except InsufficientPrivilege:
        raise NoLogin(
            f"This database login may not make, change or drop the role {login}: "
            "set MIGRATE_DATABASE_URL to one that may, such as a superuser's."
        ) from None
    if not done:
        raise NoLogin(f"Others keep changing the role {login}: try again.")


def _url(connection: Connection, login: str, password: str) -> str:
    """The URL of the same database for the login; a folder of sockets stands in the query."""
    info = connection.info
    parameters = conninfo_to_dict(connection.box_office.url)
    query = {name: value for name, value in parameters.items() if name in KEPT_PARAMETERS}
    place = f"[{info.host}]" if ":" in info.host else info.host
    if info.host.startswith("/"):
        place, query["host"] = "", info.host
    return f"postgresql://{login}:{quote(password)}@{place}:{info.port}/{quote(info.dbname)}" + (
        f"?{urlencode(query)}" if query else ""
    )
