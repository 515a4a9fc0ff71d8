"""Who may read for the audit, and the record of it: no route below /audit reads before that is kept.

An event's organiser is on the same record, who reads personal data of the buyers.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Request

from accounts.roles import roles_of
from accounts.tokens import ADMIN, AUDITOR, Account
from api.http.errors import AuditorsOnly
from api.plumbing.authentication import CurrentAccount, Lent, lent
from api.plumbing.services import RequestId, Services, TheServices
from auditing.replay import audit_reads as reads
from domain.errors import AccountClosed


@dataclass(frozen=True)
class Auditor:
    """An account whose reading is kept; `what` is the path and query that it asks for."""

    account: Account
    what: str
    request_id: RequestId
    _services: Services

    async def reads(self, what: str | None = None, *, media_type: str | None = None) -> Lent:
        """Keep that this is read, for ever, and lend what to read with.

        `what` is kept in the place of path and query, where these say more than may be kept for ever. The `media_type`
        of the answer is kept where it tells whether one page is read or all there is. Raises `AccountClosed`,
        `RecordedTooMuch` and `TooManyAtOnce`.
        """
        account_id, what = self.account.account_id, what or self.what
        if media_type is not None:
            what += ("&" if "?" in what else "?") + urlencode({"accept": media_type}, safe="/")
        quota = self._services.commands.recorded
        quota.check(account_id)
        async with lent(self._services, account_id) as connection:
            if not await reads.record(connection, self.request_id, account_id, what):
                raise AccountClosed
        quota.add(account_id, reads.ROW_BYTES + len(what))
        return partial(lent, self._services, account_id)


async def auditor(request: Request, account: CurrentAccount, services: TheServices, request_id: RequestId) -> Auditor:
    """Who asks, if it is an auditor or admin now; the route lets it read once all its parameters are valid."""
    async with services.pool.connection() as connection:
        if not await roles_of(connection, account) & {AUDITOR, ADMIN}:
            raise AuditorsOnly
    return await anybody(request, account, services, request_id)


async def anybody(request: Request, account: CurrentAccount, services: TheServices, request_id: RequestId) -> Auditor:
    """Who asks; whether it may read is for the route to say, before it does."""
    # Anew, so that what it is about is found however it was written.
    query = urlencode(request.query_params.multi_items(), safe=":/,")
    what = request.scope["path"] + (f"?{query}" if query else "")
    return Auditor(account, what, request_id, services)


TheAuditor = Annotated[Auditor, Depends(auditor)]
OnRecord = Annotated[Auditor, Depends(anybody)]
