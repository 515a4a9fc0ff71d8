"""What can go wrong, as opposed to be refused."""


class Failure(Exception):
    """The box office can't answer right now."""

    def __str__(self) -> str:
        return super().__str__() or " ".join((type(self).__doc__ or "").split())


class Overloaded(Failure):
    """More commands are waiting than can be answered soon. Try again in a moment."""

    def __init__(self, retry_after_seconds: int = 1) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class DatabaseAway(Failure):
    """The database does not answer. Whether the command was recorded is unknown: repeat it with the same key."""


class SchemaOutdated(Failure):
    """The database has another schema version than this program. Run tixxety migrate."""
