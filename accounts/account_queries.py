"""The accounts table: the only place with personal data."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from accounts.errors import EmailTaken
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
PEOPLE = "SELECT account_id AS id, email, name FROM accounts WHERE account_id = ANY(%(account_ids)s::uuid[])"
PERSON_WITH = "SELECT account_id AS id, email, name FROM accounts WHERE email = %(email)s"
CREDENTIALS = "SELECT account_id, password_hash, roles FROM credentials(%(email)s)"
ROLES = "SELECT roles FROM accounts WHERE account_id = %(account_id)s"
CHANGE = """
UPDATE accounts SET
    name = CASE WHEN 'name' = ANY(%(changed)s::text[]) THEN %(name)s ELSE name END,
    street = CASE WHEN 'street' = ANY(%(changed)s::text[]) THEN %(street)s ELSE street END,
    city = CASE WHEN 'city' = ANY(%(changed)s::text[]) THEN %(city)s ELSE city END,
    state = CASE WHEN 'state' = ANY(%(changed)s::text[]) THEN %(state)s ELSE state END,
    country = CASE WHEN 'country' = ANY(%(changed)s::text[]) THEN %(country)s ELSE country END
WHERE account_id = %(account_id)s
RETURNING account_id AS id, email, name, street, city, state, country, roles, created_at
"""
CHANGE_EMAIL = """
UPDATE accounts SET email = %(email)s
WHERE account_id = %(account_id)s AND hold_password(%(account_id)s, %(password_hash)s, %(session_id)s)
RETURNING account_id AS id, email, name, street, city, state, country, roles, created_at
"""
CHANGE_HASH = "SELECT change_password(%(account_id)s, %(old_hash)s, %(new_hash)s, %(kept_session_id)s)"
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


async def people(connection: Connection, account_ids: Iterable[UUID]) -> dict[UUID, Person]:
    """Whose these accounts are, by id; those that were deleted are left out."""
    async with connection.cursor(row_factory=class_row(Person)) as cursor:
        await cursor.execute(PEOPLE, {"account_ids": list({*account_ids})})
        return {person.id: person for person in await cursor.fetchall()}


async def person_with(connection: Connection, email: str) -> Person | None:
    """Whose account an e-mail is the address of, in the spelling that is stored; None when it is nobody's."""
    async with connection.cursor(row_factory=class_row(Person)) as cursor:
        return await (await cursor.execute(PERSON_WITH, {"email": email})).fetchone()


async def change(connection: Connection, account_id: UUID, changes: Mapping[str, str | None]) -> AccountRow | None:
    """The account after these of its name and address were changed; None once it was deleted."""
    values = dict.fromkeys(("name", "street", "city", "state", "country")) | dict(changes)
    async with connection.cursor(row_factory=class_row(AccountRow)) as cursor:
        given = values | {"account_id": account_id, "changed": list(changes)}
        return await (await cursor.execute(CHANGE, given)).fetchone()


async def change_email(
    connection: Connection, account_id: UUID, password_hash: str, email: str, session_id: UUID | None
) -> AccountRow | None:
    """The account with its new e-mail; None where its hash is not this one any more, or the session has ended.

    Raises `EmailTaken`.
    """
    values = {
        "account_id": account_id, "password_hash": password_hash, "email": email, "session_id": session_id
    }  # fmt: skip
    async with connection.cursor(row_factory=class_row(AccountRow)) as cursor:
        try:
            changed = await cursor.execute(CHANGE_EMAIL, values)
        except UniqueViolation:
            raise EmailTaken from None
        return await changed.fetchone()


async def change_password(
    connection: Connection, account_id: UUID, old_hash: str, new_hash: str, kept_session_id: UUID | None
) -> bool:
    """Set the password and end all sessions but one; False where its hash is not the old one, or that has ended."""
    values = {
        "account_id": account_id, "old_hash": old_hash, "new_hash": new_hash, "kept_session_id": kept_session_id
    }  # fmt: skip
    row = await (await connection.execute(CHANGE_HASH, values)).fetchone()
    return row is not None and bool(row[0])


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
