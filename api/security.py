"""Who asks: dependencies that turn a bearer token into an account, and wait until it can read its own writes."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer

from api import freshness
from api.inputs import MinPosition
from api.refusals import NotAuthenticated
from api.services import Services, TheServices
from api.tokens import Account
from domain.refusals import AccountClosed
from eventstore import history
from eventstore.connections import Connection

ACCOUNT_LIVES = "SELECT EXISTS (SELECT FROM accounts WHERE account_id = %(account_id)s)"

_bearer = OAuth2PasswordBearer("/auth/login", scheme_name="login", auto_error=False)
BearerToken = Annotated[str | None, Depends(_bearer)]


async def current_account(token: BearerToken, services: TheServices) -> Account:
    """For commands, which check by themselves that the account still lives: only the token is read here."""
    if token is None:
        raise NotAuthenticated
    return services.tokens.check(token)


CurrentAccount = Annotated[Account, Depends(current_account)]


async def living_account(account: CurrentAccount, services: TheServices, min_position: MinPosition = None) -> Account:
    """For reading: the account still lives, and the projections show what it wrote before this request.

    Waits at most 250 ms; with `min_position` at most 2 s, then raises `ProjectionBehind`. Holds no connection.
    """
    await _wait_for_own_writes(account.account_id, services, min_position)
    return account


LivingAccount = Annotated[Account, Depends(living_account)]


async def reader(token: BearerToken, services: TheServices, min_position: MinPosition = None) -> Account | None:
    """For reading what is open to all: None without a token, and then nothing waits unless `min_position` asks."""
    if token is None:
        await freshness.reach(services.follower, min_position or 0)
        return None
    account = services.tokens.check(token)
    await _wait_for_own_writes(account.account_id, services, min_position)
    return account


Reader = Annotated[Account | None, Depends(reader)]


async def check_account_lives(connection: Connection, account_id: UUID) -> None:
    """Raises `AccountClosed` once the account was deleted."""
    row = await (await connection.execute(ACCOUNT_LIVES, {"account_id": account_id})).fetchone()
    if row is None or not row[0]:
        raise AccountClosed


async def _wait_for_own_writes(account_id: UUID, services: Services, min_position: int | None) -> None:
    async with services.pool.connection() as connection:
        await check_account_lives(connection, account_id)
        head = await history.head(connection) if min_position is None else None
    if head is not None:
        await freshness.catch_up_with_history(services.follower, head)
    elif min_position is not None:
        await freshness.reach(services.follower, min_position)
