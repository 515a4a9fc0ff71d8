"""What can go wrong, as opposed to be refused."""

from typing import ClassVar


class Failure(Exception):
    """The box office can't answer right now."""

    code: ClassVar[str] = "internal-error"

    def __str__(self) -> str:
        return super().__str__() or " ".join((type(self).__doc__ or "").split())


class Overloaded(Failure):
    """More commands are waiting than can be answered soon. Try again in a moment."""

    code = "overloaded"

    def __init__(self, retry_after_seconds: int = 1) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class DatabaseAway(Failure):
    """The database does not answer. Whether the command was recorded is unknown: repeat it with the same key."""

    code = "database-away"


class SchemaOutdated(Failure):
    """The database has another schema version than this program. Run tixxety migrate."""

    code = "database-away"


class DecisionFailed(Failure):
    """Something broke on our side while deciding. Nothing was recorded; name the request_id if you report it."""
