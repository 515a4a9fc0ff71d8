"""The accounts table: the only place with personal data."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from eventstore.postgres.connections import Connection

INSERT = """
INSERT INTO accounts (account_id, email, password_hash, name, street, city, state, country)
VALUES (%(account_id)s, %(email)s, %(password_hash)s, %(name)s, %(street)s, %(city)s, %(state)s, %(country)s)
ON CONFLICT DO NOTHING
RETURNING account_id AS id, email, name, street, city, state, country, roles, created_at
"""
READ = """
SELECT account_id AS id, email, name, street, city, state, country, roles, created_at
FROM accounts WHERE account_id = %(account_id)s
"""
PERSON_OF = "SELECT account_id AS id, email, name FROM accounts WHERE account_id = %(account_id)s"
PERSON_WITH = "SELECT account_id AS id, email, name FROM accounts WHERE email = %(email)s"
CREDENTIALS = "SELECT account_id, password_hash, roles FROM credentials(%(email)s)"
ROLES = "SELECT roles FROM accounts WHERE account_id = %(account_id)s"
DELETE = "DELETE FROM accounts WHERE account_id = %(account_id)s RETURNING account_id"
GRANT = """
UPDATE accounts SET roles = ARRAY(SELECT DISTINCT unnest(roles || %(role)s::text) ORDER BY 1)
WHERE email = %(email)s RETURNING roles
"""
REVOKE = """
UPDATE accounts SET roles = array_remove(roles, %(role)s::text) WHERE email = %(email)s RETURNING roles
"""


class AccountRow(NamedTuple):
    """An account without its password's hash."""

    id: UUID
    email: str
    name: str
    street: str | None
    city: str | None
    state: str | None
    country: str | None
    roles: list[str]
    created_at: datetime


class Person(NamedTuple):
    """Whose an account is."""

    id: UUID
    email: str
    name: str


class Credentials(NamedTuple):
    """What a login is checked against."""

    account_id: UUID
    password_hash: str
    roles: list[str]


async def insert(connection: Connection, **values: Any) -> AccountRow | None:
    """A new account; None when there is one with this e-mail."""
    async with connection.cursor(row_factory=class_row(AccountRow)) as cursor:
        return await (await cursor.execute(INSERT, values)).fetchone()


async def read(connection: Connection, account_id: UUID) -> AccountRow | None:
    """The account; None once it was deleted."""
    async with connection.cursor(row_factory=class_row(AccountRow)) as cursor:
        return await (await cursor.execute(READ, {"account_id": account_id})).fetchone()


async def person_of(connection: Connection, account_id: UUID) -> Person | None:
    """Whose an account is; None once it was deleted."""
    async with connection.cursor(row_factory=class_row(Person)) as cursor:
        return await (await cursor.execute(PERSON_OF, {"account_id": account_id})).fetchone()


async def person_with(connection: Connection, email: str) -> Person | None:
    """Whose account an e-mail is the address of, in the spelling that is stored; None when it is nobody's."""
    async with connection.cursor(row_factory=class_row(Person)) as cursor:
        return await (await cursor.execute(PERSON_WITH, {"email": email})).fetchone()


async def credentials(connection: Connection, email: str) -> Credentials | None:
    """What is needed to check a login; None for an unknown e-mail."""
    async with connection.cursor(row_factory=class_row(Credentials)) as cursor:
        return await (await cursor.execute(CREDENTIALS, {"email": email})).fetchone()


async def roles(connection: Connection, account_id: UUID) -> list[str] | None:
    """The account's roles; None once it was deleted."""
    row = await (await connection.execute(ROLES, {"account_id": account_id})).fetchone()
    return list(row[0]) if row else None


async def delete(connection: Connection, account_id: UUID) -> bool:
    """Erase the account; False when there was none."""
    return await (await connection.execute(DELETE, {"account_id": account_id})).fetchone() is not None


async def change_roles(connection: Connection, change: str, email: str, role: str) -> list[str] | None:
    """The account's roles after `GRANT` or `REVOKE` of one; None for an unknown e-mail."""
    row = await (await connection.execute(change, {"email": email, "role": role})).fetchone()
    return list(row[0]) if row else None
