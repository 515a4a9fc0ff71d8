"""Sessions: what a login begins, and its refresh tokens continue, one after the other, until it is ended or over."""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import structlog
from psycopg.rows import class_row

from accounts.account_queries import Credentials
from accounts.errors import InvalidCredentials, InvalidRefreshToken
from accounts.random_tokens import RANDOM_BYTES
from eventstore.postgres.connections import Connection

SESSION_DAYS = 30
SESSIONS_MAX = 50
# A client whose answer was lost, and two windows of one browser, send the same token twice: so long it gives the same.
REPEATED_SECONDS = 30
# What is left of a session has to be enough for a token to arrive.
SHORTEST_SECONDS = 5

BEGIN = """
INSERT INTO sessions (session_id, account_id, token_hash, expires_at)
SELECT %(session_id)s, %(account_id)s, %(token_hash)s, clock_timestamp() + %(lasts)s
WHERE hold_password(%(account_id)s, %(password_hash)s, NULL)
RETURNING session_id
"""
END_OLDEST = """
DELETE FROM sessions WHERE session_id IN (
    SELECT session_id FROM sessions WHERE account_id = %(account_id)s
    ORDER BY refreshed_at DESC, session_id OFFSET %(sessions_max)s)
"""
LOCK = """
SELECT account_id, roles, token_hash, previous_hash, refreshed_at > clock_timestamp() - %(repeated)s AS just_refreshed,
       extract(epoch FROM expires_at - clock_timestamp())::float AS seconds_left
FROM sessions JOIN accounts USING (account_id)
WHERE session_id = %(session_id)s AND expires_at > clock_timestamp() + %(shortest)s FOR NO KEY UPDATE OF sessions
"""
REFRESH = """
UPDATE sessions SET previous_hash = token_hash, token_hash = %(token_hash)s, refreshed_at = clock_timestamp()
WHERE session_id = %(session_id)s
"""
END = "DELETE FROM sessions WHERE session_id = %(session_id)s"
END_ALL = "DELETE FROM sessions WHERE account_id = %(account_id)s"
FORGET = "DELETE FROM sessions WHERE expires_at < clock_timestamp()"

PREFIX = "tixxety_refresh_"
_TOKEN = re.compile(PREFIX + r"(?P<session>[0-9a-f]{32})_[A-Za-z0-9_-]{43}", re.ASCII)

log = structlog.get_logger(__name__)


class Session(NamedTuple):
    """A session with the token that continues it."""

    session_id: UUID
    account_id: UUID
    roles: list[str]
    refresh_token: str
    seconds_left: int


class _Row(NamedTuple):
    account_id: UUID
    roles: list[str]
    token_hash: bytes
    previous_hash: bytes | None
    just_refreshed: bool
    seconds_left: float


class Sessions:
    """Begins and continues sessions.

    A refresh token is computed from the one before it, so that who sends one twice is given the same. Both that and
    what is stored need the secret that access tokens are signed with: with another one, all sessions are over.
    """

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"tixxety refresh tokens", hashlib.sha256)

    async def begin(self, connection: Connection, proved: Credentials) -> Session:
        """A session of an account that has just logged in; its oldest one ends where it would have too many.

        Raises `InvalidCredentials` where the password is another by now, or the account was deleted.
        """
        session_id = uuid4()
        token = self._token(session_id, secrets.token_bytes(RANDOM_BYTES))
        values = {
            "session_id": session_id,
            "account_id": proved.account_id,
            "password_hash": proved.password_hash,
            "token_hash": self._hash(token),
            "lasts": timedelta(days=SESSION_DAYS),
        }
        if await (await connection.execute(BEGIN, values)).fetchone() is None:
            raise InvalidCredentials
        await connection.execute(END_OLDEST, {"account_id": proved.account_id, "sessions_max": SESSIONS_MAX})
        return Session(session_id, proved.account_id, proved.roles, token, SESSION_DAYS * 86_400)

    async def refresh(self, connection: Connection, token: str) -> Session:
        """The session with its next refresh token. Raises `InvalidRefreshToken`.

        Who sends a token that was replaced a while ago has it from somebody else, or somebody else has the one that
        replaced it: the session ends for both. So it does for any other that has the session's id, which only stands
        in its tokens.
        """
        session_id, given = session_of(token), self._hash(token)
        async with connection.transaction():
            async with connection.cursor(row_factory=class_row(_Row)) as cursor:
                seconds = {"repeated": REPEATED_SECONDS, "shortest": SHORTEST_SECONDS}
                asked = {name: timedelta(seconds=number) for name, number in seconds.items()}
                row = await (await cursor.execute(LOCK, asked | {"session_id": session_id})).fetchone()
            if row is None:
                raise InvalidRefreshToken
            following = self._token(session_id, b"next" + token.encode())
            if is_current := hmac.compare_digest(given, row.token_hash):
                await connection.execute(REFRESH, {"session_id": session_id, "token_hash": self._hash(following)})
            elif not (row.just_refreshed and hmac.compare_digest(given, row.previous_hash or b"")):
                await connection.execute(END, {"session_id": session_id})
                following = ""
        if not following:
            log.warning("a refresh token came again: its session has ended", account=str(row.account_id))
            raise InvalidRefreshToken
        if not is_current:
            log.info("a refresh token came twice at once", account=str(row.account_id))
        return Session(session_id, row.account_id, row.roles, following, int(row.seconds_left))

    def _token(self, session_id: UUID, seed: bytes) -> str:
        secret = hmac.digest(self._key, session_id.bytes + seed, hashlib.sha256)
        return f"{PREFIX}{session_id.hex}_{urlsafe_b64encode(secret).decode().rstrip('=')}"

    def _hash(self, token: str) -> bytes:
        return hmac.digest(self._key, b"stored" + token.encode(), hashlib.sha256)


def session_of(token: str) -> UUID:
    """The session that a refresh token says it continues. Raises `InvalidRefreshToken` for what is none."""
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        raise InvalidRefreshToken
    return UUID(parts["session"])


async def end(connection: Connection, session_id: UUID) -> None:
    """Log out here: the session's tokens are good for nothing that counts any more."""
    await connection.execute(END, {"session_id": session_id})


async def end_all(connection: Connection, account_id: UUID) -> None:
    """Log out everywhere."""
    await connection.execute(END_ALL, {"account_id": account_id})


async def forget(connection: Connection) -> None:
    """Drop what is over, as the worker may."""
    await connection.execute(FORGET)
