"""Reading your own writes: an answer waits until the projections have reached what the reader may have written."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from accounts.tokens import Account
from api.http.errors import ProjectionBehind
from api.http.inputs import MinPosition
from api.plumbing.authentication import AccountIfAny, check_account_lives, lent
from api.plumbing.services import Services, TheServices
from auditing.replay.errors import BeyondTheEnd
from eventstore import reading
from eventstore.postgres.connections import Connection

USUAL_PATIENCE_SECONDS = 0.25
ASKED_PATIENCE_SECONDS = 2.0


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
        if self.account is not None:
            async with self._lent() as connection:
                await check_account_lives(connection, self.account.account_id)
                head = await reading.head(connection) if self.min_position is None else 0
            await self.services.checkpoint_watcher.wait_for(head, USUAL_PATIENCE_SECONDS)
        if self.min_position:
            await self._reach(self.min_position)
        async with self._lent(for_search=for_search) as connection:
            yield connection

    async def _reach(self, min_position: int) -> None:
        """What the history has not reached is not waited for."""
        watcher = self.services.checkpoint_watcher
        if watcher.position >= min_position:
            return
        async with self._lent() as connection:
            head = await reading.final_head(connection)
        if head is not None and head < min_position:
            raise BeyondTheEnd(head)
        if not await watcher.wait_for(min_position, ASKED_PATIENCE_SECONDS):
            raise ProjectionBehind(min_position, watcher.position)

    def _lent(self, *, for_search: bool = False) -> AbstractAsyncContextManager[Connection]:
        source = self.services.searches.connection if for_search else self.services.pool.connection
        return source() if self.account is None else lent(self.services, self.account.account_id, source)


async def reader(account: AccountIfAny, services: TheServices, min_position: MinPosition = None) -> Reader:
    """For reading: the route asks for the connection, and so waits, only once all its parameters are valid."""
    return Reader(account, services, min_position)


TheReader = Annotated[Reader, Depends(reader)]
