"""Roles in the database. They belong to the whole server, where others may be making the same ones at this moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from eventstore.postgres.connections import MAY_ACT_AS, Connection

TRIES = 20
PAUSE_SECONDS = 0.05
CONFLICTS = (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation, psycopg.errors.InternalError)

HAS_ROLE = "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = %(role)s)"
CREATE = sql.SQL("CREATE ROLE {} NOLOGIN")
JOIN = sql.SQL("GRANT {} TO CURRENT_USER")


async def asks(connection: Connection, question: LiteralString, **values: object) -> bool:
    """The answer to a yes-or-no question."""
    row = await (await connection.execute(question, values)).fetchone()
    return bool(row and row[0])


async def retried(attempt: Callable[[], Awaitable[None]]) -> bool:
    """Do it again while others change the same roles; whether it was done in the end."""
    for _ in range(TRIES):
        try:
            await attempt()
        except CONFLICTS:
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return True
    return False


def scram_verifier(connection: Connection, role: str, password: str) -> str:
    """What a server keeps to check the password by; the password can't be got out of it."""
    return connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()


async def make_role(connection: Connection, role: str, *, act_as: bool) -> bool:
    """Make a role without login unless it is there; whether it is, and this login may act as it if that is wished."""

    async def make() -> None:
        if not await asks(connection, HAS_ROLE, role=role):
            await connection.execute(CREATE.format(sql.Identifier(role)))
        if act_as and not await asks(connection, MAY_ACT_AS, role=role):
            await connection.execute(JOIN.format(sql.Identifier(role)))

    try:
        return await retried(make)
    except InsufficientPrivilege:
        return False
