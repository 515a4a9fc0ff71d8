"""Who asks: dependencies that turn a bearer token into an account, which has and awaits so many connections at once."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from accounts.api_keys import PREFIX
from accounts.errors import NotAuthenticated, NotForKeys, ScopeMissing
from accounts.tokens import Account
from api.plumbing.scopes import ANY, need_of
from api.plumbing.services import Services, TheServices
from domain.errors import AccountClosed
from eventstore.postgres import binary_parameters as binary
from eventstore.postgres.connections import Connection
from eventstore.postgres.round_trips import Statement

Lent = Callable[[], AbstractAsyncContextManager[Connection]]

LOGIN_LIVES = Statement(
    "login_lives",
    """
SELECT EXISTS (SELECT FROM sessions WHERE session_id = $1::uuid)
    OR EXISTS (SELECT FROM api_keys WHERE key_id = $1::uuid)
""",
)
ACCOUNT_LIVES = "SELECT EXISTS (SELECT FROM accounts WHERE account_id = %(account_id)s)"

_bearer = OAuth2PasswordBearer("/auth/login", scheme_name="login", auto_error=False)
BearerToken = Annotated[str | None, Depends(_bearer)]


async def account_if_any(request: Request, token: BearerToken, services: TheServices) -> Account | None:
    """Who asks, as the token or the key says; None without one.

    Raises `NotAuthenticated` for what is not ours, or has ended where the route asks for that; `ScopeMissing` and
    `NotForKeys` for a key that may not do this.
    """
    if token is None:
        return None
    need = need_of(request.scope)
    if token.startswith(PREFIX):
        account = await _account_of_key(token, request, services)
        if need.scope is None:
            raise NotForKeys
        if need.scope != ANY and need.scope not in (account.scopes or ()):
            raise ScopeMissing(need.scope)
    else:
        account = services.tokens.check(token)
    return await expect_logged_in(services, account) if need.at_once else account


async def _account_of_key(key: str, request: Request, services: Services) -> Account:
    """Raises `NotAuthenticated`, and `RateLimited` once too many unknown keys came from there."""
    if (known := services.api_keys.at_hand(key)) is not None:
        return known
    address = services.rate_limits.address_of(request.scope)
    await services.rate_limits.check_unknown_keys(address)
    found = await services.api_keys.find(key)
    if found is None:
        await services.rate_limits.count_unknown_key(address)
        raise NotAuthenticated
    return found


async def expect_logged_in(services: Services, account: Account) -> Account:
    """The account again. Raises `NotAuthenticated` once its session or key has ended, and `TooManyAtOnce`.

    A token without a session, from our versions before there were any, can't be ended: it is good for nothing here.
    """
    if account.login_id is None:
        raise NotAuthenticated
    await services.read_turns.begin(account.account_id)
    try:
        [[(lives,)]] = await services.reads.ask((LOGIN_LIVES, [binary.uuid(account.login_id)]))
    finally:
        services.read_turns.end(account.account_id)
    if not lives:
        raise NotAuthenticated
    return account


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
