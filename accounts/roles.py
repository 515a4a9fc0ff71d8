"""Roles: what an account may do beyond its own, as the database has it when it is used; granted and revoked here."""

from accounts import account_queries
from accounts.email_spelling import sought_email
from accounts.errors import UnknownAccount, UnknownRole
from accounts.tokens import ADMIN, ROLES, Account
from domain.commands import Actor
from domain.errors import AccountClosed
from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import Connection, connect_as_owner


async def roles_of(connection: Connection, account: Account) -> frozenset[str]:
    """The roles that count now: what was granted counts at once, and what was revoked no more. Raises `AccountClosed`.

    A token says the roles that there were when it was made: that is for clients to know.
    """
    roles = await account_queries.roles(connection, account.account_id)
    if roles is None:
        raise AccountClosed
    return frozenset(roles)


async def actor_of(connection: Connection, account: Account) -> Actor:
    """The account as commands about events know it, whose admins may do what the organiser may."""
    return Actor(account.account_id, ADMIN in await roles_of(connection, account))


async def grant(box_office: BoxOffice | str, email: str, role: str) -> list[str]:
    """Give an account a role, which counts at once; returns all its roles. For the tables' owner alone.

    Raises `UnknownRole`, `UnknownAccount`, `psycopg.errors.InsufficientPrivilege`.
    """
    return await _changed(box_office, account_queries.GRANT, email, role)


async def revoke(box_office: BoxOffice | str, email: str, role: str) -> list[str]:
    """Take a role back, which counts at once. Returns the roles left. For the tables' owner alone.

    Raises `UnknownRole`, `UnknownAccount`, `psycopg.errors.InsufficientPrivilege`.
    """
    return await _changed(box_office, account_queries.REVOKE, email, role)


async def _changed(box_office: BoxOffice | str, change: str, email: str, role: str) -> list[str]:
    if role not in ROLES:
        raise UnknownRole
    async with await connect_as_owner(box_office) as connection:
        roles = await account_queries.change_roles(connection, change, sought_email(email), role)
    if roles is None:
        raise UnknownAccount
    return roles
