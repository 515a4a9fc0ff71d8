"""The failures of the command line: each is one sentence that its user reads before the command ends with 2."""


class Failure(Exception):
    """The command cannot go on; the message says why and what to do."""


class WrongSetting(Failure):
    """A setting is missing or has a value that cannot be used."""


class WrongArgument(Failure):
    """An argument is missing or has a value that cannot be used."""


class WrongEncoding(Failure):
    """The database can't keep every text: its encoding is not UTF8."""


class PostgresFailed(Failure):
    """The embedded PostgreSQL could not be found, started or reached."""


class AlreadyRunning(Failure):
    """Another `tixxety up` serves this home."""


class FileUnreadable(Failure):
    """The file cannot be read."""


class FileUnwritable(Failure):
    """The file cannot be written."""


class NoLogin(Failure):
    """The analyst's login can't be made or taken away."""
