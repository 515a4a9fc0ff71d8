"""Who asks: dependencies that turn a bearer token into an account, which has and awaits so many connections at once."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer

from accounts.errors import NotAuthenticated
from accounts.tokens import Account
from api.plumbing.services import Services, TheServices
from domain.errors import AccountClosed
from eventstore.postgres.connections import Connection

Lent = Callable[[], AbstractAsyncContextManager[Connection]]

ACCOUNT_LIVES = "SELECT EXISTS (SELECT FROM accounts WHERE account_id = %(account_id)s)"

_bearer = OAuth2PasswordBearer("/auth/login", scheme_name="login", auto_error=False)
BearerToken = Annotated[str | None, Depends(_bearer)]


async def account_if_any(token: BearerToken, services: TheServices) -> Account | None:
    """Who asks, as the token says; None without one. Raises `NotAuthenticated` for a token that is not ours."""
    return None if token is None else services.tokens.check(token)


AccountIfAny = Annotated[Account | None, Depends(account_if_any)]


async def current_account(account: AccountIfAny) -> Account:
    """Who asks, where that must be known. That the account still lives is for commands and `Reader` to check."""
    if account is None:
        raise NotAuthenticated
    return account


CurrentAccount = Annotated[Account, Depends(current_account)]


@asynccontextmanager
async def lent(services: Services, account_id: UUID, source: Lent | None = None) -> AsyncIterator[Connection]:
    """A connection to read with; one account has and awaits only so many at once. Raises `TooManyAtOnce`."""
    await services.read_turns.begin(account_id)
    try:
        async with (source or services.pool.connection)() as connection:
            yield connection
    finally:
        services.read_turns.end(account_id)


async def check_account_lives(connection: Connection, account_id: UUID) -> None:
    """Raises `AccountClosed` once the account was deleted."""
    row = await (await connection.execute(ACCOUNT_LIVES, {"account_id": account_id})).fetchone()
    if row is None or not row[0]:
        raise AccountClosed
