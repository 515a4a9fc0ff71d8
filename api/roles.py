"""Roles: what an account may do beyond its own, as the database has it at the moment when it is used."""

from api import account_queries
from api.services import Services
from api.tokens import ADMIN, Account
from domain.commands import Actor
from domain.refusals import AccountClosed
from eventstore.connections import Connection


async def roles_of(connection: Connection, account: Account) -> frozenset[str]:
    """The roles that count now: what was granted counts at once, and what was revoked no more. Raises `AccountClosed`.

    A token says the roles of its login, which may be an hour ago: that is for clients to know.
    """
    roles = await account_queries.roles(connection, account.account_id)
    if roles is None:
        raise AccountClosed
    return frozenset(roles)


async def actor_of(account: Account, services: Services) -> Actor:
    """The account as commands about events know it, whose admins may do what the organiser may."""
    async with services.pool.connection() as connection:
        return Actor(account.account_id, ADMIN in await roles_of(connection, account))
