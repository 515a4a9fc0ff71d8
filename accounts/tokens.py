"""Access tokens: JWT signed with HS256, good for a quarter of an hour; the session continues with a refresh token."""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import jwt

from accounts import SMALLEST_SECRET_BYTES
from accounts.errors import NotAuthenticated
from domain.commands import Actor

AUDITOR, ANALYST, ADMIN = ROLES = ("auditor", "analyst", "admin")
TOKEN_SECONDS = 900
# How far the clock of another process that made a token may be ahead of ours. An end counts to the second.
LEEWAY_SECONDS = 30
ISSUER = "tixxety"
AUDIENCE = "tixxety"
ALGORITHM = "HS256"

# Buyers come more than once: they look, reserve, pay. At most 115 MB.
REMEMBERED_TOKENS = 131_072


class Account(NamedTuple):
    """Who asks, as the token says. What the account may do beyond its own, `accounts.roles` reads when it is used.

    The login is the session that the token belongs to; None in tokens of our versions before there were sessions. For a
    key it is that, and the scopes are what it may do; None is all of it.
    """

    account_id: UUID
    login_id: UUID | None = None
    scopes: frozenset[str] | None = None

    @property
    def actor(self) -> Actor:
        """The account as commands about its own know it."""
        return Actor(self.account_id)


class Tokens:
    """Makes and checks access tokens. A secret under 32 bytes is a ValueError: it could be guessed."""

    def __init__(self, secret: str) -> None:
        if len(secret.encode()) < SMALLEST_SECRET_BYTES:
            raise ValueError(f"the JWT secret needs at least {SMALLEST_SECRET_BYTES} bytes")
        self._secret = secret
        self._verified = lru_cache(REMEMBERED_TOKENS)(self._verify)

    def make(
        self, account_id: UUID, roles: list[str], session_id: UUID | None = None, seconds: int = TOKEN_SECONDS
    ) -> str:
        """A token for an account that is logged in. Its roles are for clients, and for our versions before 3."""
        now = datetime.now(UTC)
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(account_id),
            "iat": now,
            "exp": now + timedelta(seconds=seconds),
            "roles": roles,
        }
        if session_id is not None:
            claims["sid"] = str(session_id)
        token = jwt.encode(claims, self._secret, ALGORITHM)
        self.check(token)  # so that it is known when its account comes back
        return token

    def check(self, token: str) -> Account:
        """Who the token belongs to; raises `NotAuthenticated` unless it is ours, whole and in time.

        A token that was verified once is remembered, so that afterwards only its end is looked at: that has no leeway,
        while the clock of the process that made the token may be 30 seconds ahead of ours.
        """
        try:
            account, expires_at_seconds = self._verified(token)
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError) as error:
            raise NotAuthenticated from error
        if expires_at_seconds <= time.time():
            raise NotAuthenticated
        return account

    def _verify(self, token: str) -> tuple[Account, int]:
        claims = jwt.decode(
            token,
            self._secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "aud", "sub", "exp"]},
        )
        session_id = UUID(claims["sid"]) if "sid" in claims else None
        return Account(UUID(claims["sub"]), session_id), int(claims["exp"])
