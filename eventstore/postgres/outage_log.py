"""Logs an outage of what is tried again and again: its beginning, another reason for it, and its end."""

import asyncio

import structlog

from eventstore.errors import Failure, failure_of
from eventstore.postgres.connections import CONNECTION_LOST

log = structlog.get_logger()


class Outage:
    """A line for each change of state, however often it is tried meanwhile. `what` is the name of what may stop."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._reason: str | None = None
        self._since_seconds = 0.0

    def note(self, error: Exception) -> None:
        """It does not go on, because of this."""
        reason = _reason(error)
        if self._reason is None:
            self._since_seconds = asyncio.get_running_loop().time()
        if reason != self._reason:
            log.warning(f"the {self._what} can't go on", reason=reason, error=repr(error))
        self._reason = reason

    def over(self) -> None:
        """It goes on; may be said at any time."""
        if self._reason is not None:
            seconds = asyncio.get_running_loop().time() - self._since_seconds
            log.info(f"the {self._what} goes on", after_seconds=round(seconds, 1))
        self._reason = None


def _reason(error: Exception) -> str:
    """The failure's code; the error's own name where it is none that comes with a server."""
    if isinstance(error, Failure):
        return error.code
    code = failure_of(error).code
    if code == "database-away" and not isinstance(error, CONNECTION_LOST):
        return type(error).__name__
    return code
