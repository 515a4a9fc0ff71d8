"""Who asks: dependencies that turn a bearer token into an account, and wait until it can read its own writes."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer

from accounts.errors import NotAuthenticated
from accounts.tokens import Account
from api.http.inputs import MinPosition
from api.plumbing import read_your_writes
from api.plumbing.read_your_writes import Lent
from api.plumbing.services import Services, TheServices
from domain.errors import AccountClosed
from eventstore import reading
from eventstore.postgres.connections import Connection

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


@dataclass(frozen=True)
class Reader:
    """Who reads the projections, if anybody known, and the position that the answer must include."""

    account: Account | None
    services: Services
    min_position: int | None

    @asynccontextmanager
    async def connection(self, *, for_search: bool = False) -> AsyncIterator[Connection]:
        """A connection to read with, once the projections show what the account wrote before this request.

        Waits at most 250 ms; with `min_position` at most 2 s, then raises `ProjectionBehind`, or `BeyondTheEnd` at
        once. Without an account nothing waits unless `min_position` asks. Holds no connection while it waits. Raises
        `AccountClosed`, `TooManyAtOnce`, and what `Searches` does when it is `for_search`.
        """
        follower = self.services.follower
        if self.account is not None:
            async with self._lent() as connection:
                await check_account_lives(connection, self.account.account_id)
                head = await reading.head(connection) if self.min_position is None else 0
            await read_your_writes.catch_up_with_history(follower, head)
        if self.min_position:
            await read_your_writes.reach(follower, self.min_position, self._lent)
        async with self._lent(for_search=for_search) as connection:
            yield connection

    def _lent(self, *, for_search: bool = False) -> AbstractAsyncContextManager[Connection]:
        source = self.services.searches.connection if for_search else self.services.pool.connection
        return source() if self.account is None else lent(self.services, self.account.account_id, source)


async def reader(account: AccountIfAny, services: TheServices, min_position: MinPosition = None) -> Reader:
    """For reading: the route asks for the connection, and so waits, only once all its parameters are valid."""
    return Reader(account, services, min_position)


TheReader = Annotated[Reader, Depends(reader)]


@asynccontextmanager
async def lent(services: Services, account_id: UUID, source: Lent | None = None) -> AsyncIterator[Connection]:
    """A connection to read with; one account has and awaits only so many at once. Raises `TooManyAtOnce`."""
    await services.reads.begin(account_id)
    try:
        async with (source or services.pool.connection)() as connection:
            yield connection
    finally:
        services.reads.end(account_id)


async def check_account_lives(connection: Connection, account_id: UUID) -> None:
    """Raises `AccountClosed` once the account was deleted."""
    row = await (await connection.execute(ACCOUNT_LIVES, {"account_id": account_id})).fetchone()
    if row is None or not row[0]:
        raise AccountClosed
