"""Failures: what goes wrong in the database or in our code, as opposed to what a rule refuses."""

from typing import Any, ClassVar

import psycopg
from psycopg_pool import PoolTimeout, TooManyRequests


class Failure(Exception):
    """The box office can't answer right now."""

    code: ClassVar[str] = "internal-error"
    # None where it is not known to go better soon.
    retry_after_seconds: ClassVar[int | None] = None

    @property
    def facts(self) -> dict[str, Any]:
        """What a program needs next, by name."""
        retry = {"retry_after_seconds": self.retry_after_seconds} if self.retry_after_seconds else {}
        return vars(self) | retry

    def __str__(self) -> str:
        return super().__str__() or " ".join((type(self).__doc__ or "").split())


class Overloaded(Failure):
    """More commands are waiting than can be answered soon. Try again in a moment."""

    code = "overloaded"
    retry_after_seconds = 1


class DatabaseAway(Failure):
    """The database does not answer. Whether the command was recorded is unknown: repeat it with the same key."""

    code = "database-away"
    retry_after_seconds = 1


class EventBusy(Failure):
    """Another process holds this event and does not get on. Nothing was recorded; try again in a moment."""

    code = "event-busy"
    retry_after_seconds = 1


class DiskFull(Failure):
    """The disk of the database is full. Nothing was recorded; reading goes on, and writing once there is room again."""

    code = "disk-full"
    retry_after_seconds = 30


class ReadOnly(Failure):
    """The database takes no writes at the moment: it is a standby, or was set read-only. Nothing was recorded."""

    code = "read-only"
    retry_after_seconds = 5


class SchemaOutdated(Failure):
    """The database has another schema version than this program. Run tixxety migrate."""

    code = "database-away"
    retry_after_seconds = 1


class DecisionFailed(Failure):
    """Something broke on our side while deciding. Nothing was recorded; name the request_id if you report it."""


class BatchFailed(Failure):
    """A consumer of the history can't take what comes next: it skips nothing and stops before `position`.

    What is to blame stands between `position` and `last_position`.
    """

    def __init__(self, message: str, position: int, last_position: int) -> None:
        super().__init__(message)
        self.position = position
        self.last_position = last_position


class CheckpointMoved(Failure):
    """Another process has moved the checkpoint in between. What this one remembers may be outdated."""


def failed_by(bug: BaseException) -> DecisionFailed:
    """The failure that answers a command whose decision met a bug; the bug is its `__cause__`, for the log."""
    failure = DecisionFailed()
    failure.__cause__ = bug
    return failure


def failure_of(error: BaseException) -> Failure:
    """The failure that answers a request after an error of the database or of its connections."""
    match error:
        case psycopg.errors.DiskFull():
            return DiskFull()
        case psycopg.errors.ReadOnlySqlTransaction():
            return ReadOnly()
        case psycopg.errors.LockNotAvailable():
            return EventBusy()
        case TooManyRequests() | PoolTimeout() | psycopg.errors.TooManyConnections():
            return Overloaded()
        case _:
            return DatabaseAway()
