"""What one account may have under way and record in a minute, so that it can't starve the others: per process."""

import asyncio
from collections import Counter, deque
from time import monotonic
from uuid import UUID

from api.http.errors import RecordedTooMuch, TooManyAtOnce
from api.http.failure_log import FailureLog
from domain.commands import (
    AddTicketType,
    ChangeEvent,
    Command,
    CreateEvent,
    ReserveTickets,
    ReturnTickets,
    WithholdTickets,
)
from eventstore.errors import Failure
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome

# So few that a group of commands is hardly longer for them; the others of the account wait for their turn.
COMMANDS_AT_ONCE = 2
READS_AT_ONCE = 4
WAITING_MAX = 60
# Some 1,700 tickets reserved and paid, or 60 of the longest descriptions changed.
RECORDED_BYTES_A_MINUTE = 2 * 1024 * 1024
MINUTE_SECONDS = 60.0
# Above that the accounts that have recorded little are forgotten.
REMEMBERED_ACCOUNTS = 50_000
LITTLE_BYTES = 64 * 1024
# Who ignores what it is told is told it this often: each refusal beyond that is held back, but not for ever.
REFUSALS_A_SECOND = 50
HELD_BACK_SECONDS_MAX = 10.0
HELD_BACK_MAX = 5_000
# What begins something, or may come again and again.
BOUNDED = ReserveTickets | CreateEvent | ChangeEvent | AddTicketType | WithholdTickets | ReturnTickets


class Turns:
    """Has `at_once` of each account under way, and as many as `WAITING_MAX` wait for their turn, in order."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._under_way: dict[UUID, int] = {}
        self._waiting: dict[UUID, deque[asyncio.Future[None]]] = {}
        self._next_refusal_seconds: dict[UUID, float] = {}
        self._held_back = 0

    async def begin(self, account_id: UUID) -> None:
        """Wait for a turn; each has to `end`. Raises `TooManyAtOnce`, not at once to who is told so all the time."""
        under_way = self._under_way.get(account_id, 0)
        if under_way < self.at_once:
            self._under_way[account_id] = under_way + 1
            return
        waiting = self._waiting.setdefault(account_id, deque())
        if len(waiting) >= WAITING_MAX:
            await self._hold_back(account_id)
            raise TooManyAtOnce(self.at_once + WAITING_MAX)
        waiting.append(turn := asyncio.get_running_loop().create_future())
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.end(account_id)
            raise

    def end(self, account_id: UUID) -> None:
        """The turn is the next one's; when none waits, the account has one less under way."""
        waiting = self._waiting.get(account_id)
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(account_id, None)
        if (left := self._under_way[account_id] - 1) == 0:
            del self._under_way[account_id]
        else:
            self._under_way[account_id] = left

    async def _hold_back(self, account_id: UUID) -> None:
        """Wait until the account's next refusal is due: answering thousands at once would be work for nothing."""
        now = monotonic()
        due = min(max(now, self._next_refusal_seconds.get(account_id, now)), now + HELD_BACK_SECONDS_MAX)
        if due == now or self._held_back >= HELD_BACK_MAX:
            self._next_refusal_seconds = {i: at for i, at in self._next_refusal_seconds.items() if at > now}
        self._next_refusal_seconds[account_id] = due + 1 / REFUSALS_A_SECOND
        if due > now and self._held_back < HELD_BACK_MAX:
            self._held_back += 1
            try:
                await asyncio.sleep(due - now)
            finally:
                self._held_back -= 1


class RecordedBytes:
    """Counts what each account has added in this minute to what is kept for ever: the history, who has read what."""

    def __init__(self, *, limited: bool = True) -> None:
        self._limited = limited
        self._bytes: Counter[UUID] = Counter()
        self._ends_at_seconds = 0.0

    def check(self, account_id: UUID) -> None:
        """Raises `RecordedTooMuch`."""
        if not self._limited:
            return
        now = monotonic()
        if now >= self._ends_at_seconds:
            self._bytes.clear()
            self._ends_at_seconds = now + MINUTE_SECONDS
        if self._bytes[account_id] >= RECORDED_BYTES_A_MINUTE:
            raise RecordedTooMuch(max(1, round(self._ends_at_seconds - now + 0.5)))

    def add(self, account_id: UUID, recorded_bytes: int) -> None:
        """So much more was recorded."""
        if not self._limited:
            return
        self._bytes[account_id] += recorded_bytes
        if len(self._bytes) > REMEMBERED_ACCOUNTS:
            self._bytes = Counter({i: recorded for i, recorded in self._bytes.items() if recorded > LITTLE_BYTES})


class LimitedCommands:
    """The way of all routes to the group commit; what the system commands by itself does not come this way."""

    def __init__(self, commands: GroupCommit, failure_log: FailureLog, *, rate_limits: bool) -> None:
        self._commands = commands
        self._failure_log = failure_log
        self.turns = Turns(COMMANDS_AT_ONCE)
        self.recorded = RecordedBytes(limited=rate_limits)

    async def submit(self, command: Command) -> Outcome:
        """As `GroupCommit.submit`. Raises `TooManyAtOnce` and `RecordedTooMuch`, too.

        What was begun may be ended in any case: paying and cancelling count, and are not refused for it.
        """
        assert command.actor is not None  # noqa: S101 - the routes know who asks
        account_id = command.actor.account_id
        if isinstance(command, BOUNDED):
            self.recorded.check(account_id)
        await self.turns.begin(account_id)
        try:
            outcome = await self._commands.submit(command)
        except Failure as failure:
            self._failure_log.note(failure)
            raise
        finally:
            self.turns.end(account_id)
        self._failure_log.written()
        self.recorded.add(account_id, outcome.recorded_bytes)
        return outcome

    async def event_of(self, reservation_id: UUID, account_id: UUID) -> UUID:
        """As `GroupCommit.event_of`, for this account. Raises `TooManyAtOnce`, too."""
        await self.turns.begin(account_id)
        try:
            return await self._commands.event_of(reservation_id)
        finally:
            self.turns.end(account_id)
