"""What can be wrong with an account, its login or its roles."""

from domain.errors import Refusal
from eventstore.errors import Failure, Overloaded


class NoSuchAccount(Refusal):
    """There is no such account. It may have been deleted: then nothing leads from its id to a person any more."""

    code = "not-found"


class NotAuthenticated(Refusal):
    """Log in at POST /auth/login and send the access token, or send an API key, as "Authorization: Bearer …"."""

    code = "not-authenticated"


class InvalidCredentials(Refusal):
    """The e-mail or the password is wrong. Check both, or register at POST /auth/register."""

    code = "invalid-credentials"


class InvalidRefreshToken(Refusal):
    """The refresh token is none of ours, or its session is over, ended, or was ended by using a token twice. Log in."""

    code = "invalid-refresh-token"


class WrongPassword(Refusal):
    """The current password is wrong, and nothing was changed. If it is forgotten, ask an operator for a token."""

    code = "wrong-password"


class InvalidResetToken(Refusal):
    """The token is none of ours, was used, or is over. Ask an operator for another: tixxety reset-password."""

    code = "invalid-reset-token"


class ScopeMissing(Refusal):
    """This key may not do that: it has not the scope {needed_scope}. Make one that has it at POST /auth/api-keys."""

    code = "scope-missing"
    needed_scope: str


class NotForKeys(Refusal):
    """No key may do that. Log in at POST /auth/login, and send the access token."""

    code = "not-for-keys"


class TooManyKeys(Refusal):
    """Your account has {most} keys, and may not have more. Revoke one that is not used."""

    code = "too-many-keys"
    most: int


class EmailTaken(Refusal):
    """There is an account with this e-mail already. Log in, or register with another e-mail."""

    code = "email-taken"


class PasswordsOverloaded(Overloaded):
    """More passwords are waiting than can be checked soon. Try again in a moment."""

    retry_after_seconds = 5


class UnknownAccount(Failure):
    """There is no account with this e-mail."""


class UnknownRole(Failure):
    """There is no such role: they are auditor, analyst and admin."""
