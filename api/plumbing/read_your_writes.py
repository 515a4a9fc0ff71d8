"""Reading your own writes: an answer waits until the projections have reached what the reader may have written."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, NamedTuple
from uuid import UUID

from fastapi import Depends

from accounts.errors import NotAuthenticated
from accounts.tokens import Account
from api.http.errors import ProjectionBehind
from api.http.inputs import MinPosition
from api.http.ready_json import ReadyJson
from api.plumbing.authentication import AccountIfAny, lent
from api.plumbing.kept_answers import Render
from api.plumbing.services import Services, TheServices
from auditing.replay.errors import BeyondTheEnd
from domain.errors import AccountClosed
from eventstore import reading
from eventstore.postgres import binary_parameters as binary
from eventstore.postgres.connections import Connection
from eventstore.postgres.round_trips import Rows, Statement
from eventstore.postgres.shared_reads import Asked

USUAL_PATIENCE_SECONDS = 0.25
ASKED_PATIENCE_SECONDS = 2.0


# Whether the account lives and its login too, how far the history is and the projections are: all at one moment.
STANDING = Statement(
    "standing",
    """
SELECT EXISTS (SELECT FROM accounts WHERE account_id = $1::uuid),
       $2::uuid IS NULL OR EXISTS (SELECT FROM sessions WHERE session_id = $2::uuid)
           OR EXISTS (SELECT FROM api_keys WHERE key_id = $2::uuid),
       (SELECT coalesce(max(notification_id), 0) FROM stored_events), (SELECT position FROM checkpoint)
""",
)


class Reader(NamedTuple):
    """Who reads the projections, if anybody known, and the position that the answer must include.

    Whatever is read shows what the account wrote before this request: it is waited for at most 250 ms; with
    `min_position` at most 2 s, then `ProjectionBehind` is raised, or `BeyondTheEnd` at once. Without an account nothing
    waits unless `min_position` asks. All raise `AccountClosed`, `NotAuthenticated` and `TooManyAtOnce`, too.
    """

    account: Account | None
    services: Services
    min_position: int | None

    async def ask(self, *asked: Asked) -> list[Rows]:
        """What these statements give, in one trip when nothing has to be waited for."""
        if self.account is None:
            await self._wait(0)
            return await self.services.reads.ask(*asked)
        head, position, rows = await self._standing(*asked)
        if position >= (head if self.min_position is None else self.min_position):
            return rows
        await self._wait(head)
        return await self._in_turn(self.account, *asked)

    async def kept(
        self, key: object, render: Render, event_id: UUID | None = None, if_none_match: str | None = None
    ) -> ReadyJson:
        """The answer that everybody is given, as `KeptAnswers.get`."""
        await self._ready()
        answer = await self.services.kept_answers.get(key, render, event_id)
        return answer.response(to_anybody=self.account is None, if_none_match=if_none_match)

    @asynccontextmanager
    async def connection(self, *, for_search: bool = False) -> AsyncIterator[Connection]:
        """A connection to read with; none is held while waiting. Raises what `Searches` does, if it is `for_search`."""
        await self._ready()
        async with self._lent(for_search=for_search) as connection:
            yield connection

    async def _ready(self) -> None:
        head = 0
        if self.account is not None:
            head, _, _ = await self._standing()
        await self._wait(head)

    async def _standing(self, *asked: Asked) -> tuple[int, int, list[Rows]]:
        """The positions of the history and of the projections, and what these statements give."""
        assert self.account is not None  # noqa: S101
        ids = binary.uuid(self.account.account_id), binary.uuid_if_any(self.account.login_id)
        ((lives, logged_in, head, position),), *rows = await self._in_turn(self.account, (STANDING, ids), *asked)
        if not lives:
            raise AccountClosed
        if not logged_in:
            raise NotAuthenticated
        return head, position, rows

    async def _in_turn(self, account: Account, *asked: Asked) -> list[Rows]:
        turns = self.services.read_turns
        await turns.begin(account.account_id)
        try:
            return await self.services.reads.ask(*asked)
        finally:
            turns.end(account.account_id)

    async def _wait(self, head: int) -> None:
        """Until the projections are where they have to be; what the history has not reached is not waited for."""
        watcher = self.services.checkpoint_watcher
        if self.min_position is None:
            await watcher.wait_for(head, USUAL_PATIENCE_SECONDS)
        elif watcher.position < self.min_position:
            async with self._lent() as connection:
                final_head = await reading.final_head(connection)
            if final_head is not None and final_head < self.min_position:
                raise BeyondTheEnd(final_head)
            if not await watcher.wait_for(self.min_position, ASKED_PATIENCE_SECONDS):
                raise ProjectionBehind(self.min_position, watcher.position)

    def _lent(self, *, for_search: bool = False) -> AbstractAsyncContextManager[Connection]:
        source = self.services.searches.connection if for_search else self.services.pool.connection
        return source() if self.account is None else lent(self.services, self.account.account_id, source)


async def reader(account: AccountIfAny, services: TheServices, min_position: MinPosition = None) -> Reader:
    """For reading: the route asks for the connection, and so waits, only once all its parameters are valid."""
    return Reader(account, services, min_position)


TheReader = Annotated[Reader, Depends(reader)]
