"""A command in the queue: who waits for its answer, for how long, and what is tried next after what."""

import asyncio
from enum import Enum

import psycopg

from domain.commands import Command
from eventstore.errors import DatabaseAway, Failure, failed_by, failure_of
from eventstore.postgres.connections import CONNECTION_LOST
from eventstore.writing.group_transaction import Outcome

NOTHING_RECORDED = (psycopg.errors.DiskFull, psycopg.errors.ReadOnlySqlTransaction)


class Attempt(Enum):
    """How a command is tried."""

    FIRST = "in a group, for the first time"
    AGAIN = "in a group, after an outcome that is unknown: ids are fixed, so it finds its own work"
    ALONE = "in a group of its own, after something that one of the group's commands must have brought about"


def next_after(attempt: Attempt, error: BaseException) -> Attempt | Exception:
    """What comes after an attempt that ended with an error: another attempt, or the answer.

    | ended with                      | FIRST       | AGAIN          | ALONE            |
    | positions stayed locked         | the same    | the same       | the same         |
    | disk full, read-only            | the failure | `DatabaseAway` | `DatabaseAway`   |
    | connection lost, or no answer   | AGAIN       | `DatabaseAway` | `DatabaseAway`   |
    | anything else                   | ALONE       | ALONE          | `DecisionFailed` |
    """
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return attempt
    if isinstance(error, NOTHING_RECORDED) and attempt is Attempt.FIRST:
        return failure_of(error)
    if isinstance(error, (*CONNECTION_LOST, *NOTHING_RECORDED)):
        return Attempt.AGAIN if attempt is Attempt.FIRST else DatabaseAway()
    return Attempt.ALONE if attempt is not Attempt.ALONE else failed_by(error)


class Waiting:
    """One command on its way to its answer; `arrived_at` is in seconds of the event loop's clock."""

    __slots__ = ("answer", "arrived_at", "attempt", "command")

    def __init__(self, command: Command, answer: asyncio.Future[Outcome], arrived_at: float) -> None:
        self.command = command
        self.answer = answer
        self.arrived_at = arrived_at
        self.attempt = Attempt.FIRST

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.answer.done()

    def settle(self, answer: Outcome | Exception) -> None:
        """Give the answer to whoever still waits for it."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)

    def unrecorded(self, failure: Failure) -> Failure:
        """What to tell when this attempt has recorded nothing, because of `failure`; an earlier one may have."""
        return failure if self.attempt is Attempt.FIRST else DatabaseAway()
