"""`tixxety analyst-url`: a login for an analyst, who reads the projections and nothing else."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import quote, urlencode

import typer
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InsufficientPrivilege

from eventstore.connections import PROJECTIONS_SCHEMA, Connection
from projections.schema import ANALYST_ROLE
from tixxety.failures import Failure
from tixxety.options import Home, expect_current_schema
from tixxety.roles import HAS_ROLE, asks, retried
from tixxety.settings import database, read_settings
from tixxety.stop_signals import run

CONNECTIONS = 10
# What keeps an analyst's slip from hurting others. Each is a default that the login itself may change: what protects
# against malice is that it has no right but to read.
SETTINGS = {
    "search_path": PROJECTIONS_SCHEMA,
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "lock_timeout": "5s",
}
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
# Of the connection's own parameters, those that its clients need as well.
KEPT_PARAMETERS = ("sslmode", "sslrootcert", "channel_binding")

CREATE = sql.SQL("CREATE ROLE {} LOGIN")
CHANGE = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {} CONNECTION LIMIT {}")
SET = sql.SQL("ALTER ROLE {} SET {} = {}")
JOIN = sql.SQL("GRANT {} TO {}")
DROP = sql.SQL("DROP ROLE {}")


class NoLogin(Failure):
    """The login can't be made or taken away."""


def analyst_url(
    name: Annotated[str, typer.Argument(help="Whose login: lower-case letters, digits and _.")] = "login",
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the login away instead.")] = False,
    home: Home = None,
) -> None:
    """Make a login that reads the projections alone, or give it a new password, and print its connection string."""
    if not NAME.fullmatch(name):
        raise NoLogin("The name must be 1 to 40 lower-case letters, digits or _, with a letter first.")
    settings = read_settings(home)
    with database(settings, brief=True) as url:
        expect_current_schema(settings, url)
        owner_url = settings.migrate_database_url or url
        if revoke:
            take_back(owner_url, name)
            typer.echo(f"The login {login_of(name)} is no more.", err=True)
        else:
            typer.echo(hand_out(owner_url, name))
            typer.echo("It is shown this once; ask again for a new password.", err=True)


def hand_out(database_url: str, name: str) -> str:
    """Make the login, or renew its password; returns the URL by which it comes. Raises `NoLogin`, `psycopg.Error`."""
    return run(_hand_out(database_url, login_of(name)))


def take_back(database_url: str, name: str) -> None:
    """Drop the login; what it has open can read nothing any more. Raises `NoLogin`, `psycopg.Error`."""
    run(_take_back(database_url, login_of(name)))


def login_of(name: str) -> str:
    """The role by which this analyst comes."""
    return f"{ANALYST_ROLE}_{name}"


async def _hand_out(database_url: str, login: str) -> str:
    password = secrets.token_urlsafe(24)
    async with await _connect(database_url) as connection:
        if not await asks(connection, HAS_ROLE, role=ANALYST_ROLE):
            raise NoLogin(
                f"There is no role {ANALYST_ROLE} yet: run tixxety migrate as a login that may create roles, "
                "in MIGRATE_DATABASE_URL."
            )
        hashed = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()

        async def make() -> None:
            async with connection.transaction():
                await _make(connection, login, hashed)

        await _done(login, make)
        return _url(database_url, connection, login, password)


async def _make(connection: Connection, login: str, hashed_password: str) -> None:
    role = sql.Identifier(login)
    if not await asks(connection, HAS_ROLE, role=login):
        await connection.execute(CREATE.format(role))
    await connection.execute(CHANGE.format(role, sql.Literal(hashed_password), sql.Literal(CONNECTIONS)))
    await connection.execute(JOIN.format(sql.Identifier(ANALYST_ROLE), role))
    for name, value in SETTINGS.items():
        await connection.execute(SET.format(role, sql.Identifier(name), sql.Literal(value)))


async def _take_back(database_url: str, login: str) -> None:
    async with await _connect(database_url) as connection:
        if not await asks(connection, HAS_ROLE, role=login):
            raise NoLogin(f"There is no login {login}.")

        async def drop() -> None:
            await connection.execute(DROP.format(sql.Identifier(login)))

        await _done(login, drop)


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


async def _connect(database_url: str) -> Connection:
    return await Connection.connect(database_url, autocommit=True, connect_timeout=10)


def _url(database_url: str, connection: Connection, login: str, password: str) -> str:
    """The URL of the same database for the login; a folder of sockets stands in the query."""
    info = connection.info
    query = {name: value for name, value in conninfo_to_dict(database_url).items() if name in KEPT_PARAMETERS}
    place = f"[{info.host}]" if ":" in info.host else info.host
    if info.host.startswith("/"):
        place, query["host"] = "", info.host
    parameters = f"?{urlencode(query)}" if query else ""
    return f"postgresql://{login}:{quote(password)}@{place}:{info.port}/{quote(info.dbname)}{parameters}"
