"""Why a database or a file can't be verified."""

from auditing.export.errors import FileBroken
from eventstore.errors import Failure


class NoSuchSeal(Failure):
    """There is no seal of this number."""


class TableAltered(Failure):
    """A table of the history is not defined as it was: what is in it can't be verified."""


class StreamsUnread(Failure):
    """The process that reads the streams has ended before its time."""


class SealElsewhere(FileBroken):
    """The kept seal says nothing about the file."""


class NoRoom(Failure):
    """The temporary folder can't hold what is put in order there."""

    def __init__(self, folder: str, error: Exception) -> None:
        super().__init__(f"{folder} can't hold a copy of the file: {error}. Name another folder in TMPDIR.")
