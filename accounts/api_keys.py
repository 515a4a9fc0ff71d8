"""API keys: what programs send in the place of a login. Random, shown once, kept as a hash, limited by their scopes."""

import asyncio
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple, Self
from uuid import UUID

import psycopg
import structlog
import uuid_utils.compat
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from accounts.errors import NotAuthenticated, TooManyKeys
from accounts.random_tokens import hash_of, random_token
from accounts.tokens import Account
from domain.errors import AccountClosed
from eventstore.postgres.asyncio_tasks import end
from eventstore.postgres.connections import Connection
from eventstore.postgres.round_trips import Statement
from eventstore.postgres.shared_reads import SharedReads

PREFIX = "tixxety_key_"
SCOPES = READ, RESERVE, ORGANISE, ANALYSE, AUDIT = ("read", "reserve", "organise", "analyse", "audit")
KEYS_MAX = 50
# So long a process believes what it has read of a key, where nothing depends on it that can't be undone.
KNOWN_SECONDS = 30.0
KNOWN_MAX = 10_000

HOLD_ACCOUNT = "SELECT FROM accounts WHERE account_id = %(account_id)s FOR NO KEY UPDATE"
HOLD_SESSION = """
SELECT FROM sessions WHERE session_id = %(session_id)s AND account_id = %(account_id)s FOR KEY SHARE
"""
CREATE = """
INSERT INTO api_keys (key_id, account_id, name, scopes, key_hash, expires_at)
SELECT %(key_id)s, %(account_id)s, %(name)s, %(scopes)s, %(key_hash)s, %(expires_at)s
WHERE (SELECT count(*) FROM api_keys WHERE account_id = %(account_id)s) < %(keys_max)s
RETURNING key_id AS id, name, scopes, created_at, expires_at, last_used_at
"""
LIST = """
SELECT key_id AS id, name, scopes, created_at, expires_at, last_used_at FROM api_keys
WHERE account_id = %(account_id)s ORDER BY created_at, key_id
"""
REVOKE = "DELETE FROM api_keys WHERE key_id = %(key_id)s AND account_id = %(account_id)s RETURNING key_id"
REVOKE_ALL = "DELETE FROM api_keys WHERE account_id = %(account_id)s"
FORGET = "DELETE FROM api_keys WHERE expires_at < clock_timestamp() - interval '30 days'"
FIND = Statement(
    "find_api_key",
    """
SELECT account_id, key_id, scopes, expires_at,
       last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '10 minutes'
FROM api_keys WHERE key_hash = $1::bytea AND (expires_at IS NULL OR expires_at > clock_timestamp())
""",
)
NOTE_USE = "UPDATE api_keys SET last_used_at = clock_timestamp() WHERE key_id = %(key_id)s"

log = structlog.get_logger(__name__)


class ApiKey(NamedTuple):
    """A key without its secret."""

    id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class _Known(NamedTuple):
    account: Account
    expires_at: datetime | None
    until_seconds: float


class KnownKeys:
    """Who the keys act for that this process has met lately; notes now and then that they are used."""

    def __init__(self, reads: SharedReads, pool: AsyncConnectionPool[Connection]) -> None:
        self._reads = reads
        self._pool = pool
        self._known: dict[bytes, _Known] = {}
        self._noting: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await end(*self._noting)

    def at_hand(self, key: str) -> Account | None:
        """Who the key acts for, if that was read a moment ago."""
        known = self._known.get(hash_of(key))
        if known is None or known.until_seconds <= time.monotonic():
            return None
        return None if known.expires_at is not None and known.expires_at <= datetime.now(UTC) else known.account

    async def find(self, key: str) -> Account | None:
        """Who the key acts for; None for one that is unknown, revoked or over. Raises what `SharedReads.ask` does."""
        key_hash = hash_of(key)
        [rows] = await self._reads.ask((FIND, [key_hash]))
        if not rows:
            self._known.pop(key_hash, None)
            return None
        [(account_id, key_id, scopes, expires_at, is_long_ago)] = rows
        account = Account(account_id, key_id, frozenset(scopes))
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[key_hash] = _Known(account, expires_at, time.monotonic() + KNOWN_SECONDS)
        if is_long_ago:
            task = asyncio.create_task(self._note_use(key_id))
            self._noting.add(task)
            task.add_done_callback(self._noting.discard)
        return account

    async def _note_use(self, key_id: UUID) -> None:
        """Beside the request, which a database that takes no writes must not fail."""
        try:
            async with self._pool.connection() as connection:
                await connection.execute(NOTE_USE, {"key_id": key_id})
        except psycopg.Error as error:
            log.info("that a key was used could not be noted", key=str(key_id), error=repr(error))


async def create(
    connection: Connection, maker: Account, *, name: str, scopes: list[str], expires_at: datetime | None
) -> tuple[ApiKey, str]:
    """A new key and its secret, which nobody can be told again.

    The account is held, so that it has no key more than one may, and the session, so that no key is made after its end.
    Raises `AccountClosed`, `NotAuthenticated` where the session has ended, `TooManyKeys`.
    """
    secret = random_token(PREFIX)
    values = {
        "key_id": uuid_utils.compat.uuid7(),
        "account_id": maker.account_id,
        "session_id": maker.login_id,
        "name": name,
        "scopes": scopes,
        "key_hash": hash_of(secret),
        "expires_at": expires_at,
        "keys_max": KEYS_MAX,
    }
    async with connection.transaction(), connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        if not (await connection.execute(HOLD_ACCOUNT, values)).rowcount:
            raise AccountClosed
        if not (await connection.execute(HOLD_SESSION, values)).rowcount:
            raise NotAuthenticated
        made = await (await cursor.execute(CREATE, values)).fetchone()
    if made is None:
        raise TooManyKeys(KEYS_MAX)
    return made, secret


async def keys_of(connection: Connection, account_id: UUID) -> list[ApiKey]:
    """The account's keys, the oldest first."""
    async with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        return await (await cursor.execute(LIST, {"account_id": account_id})).fetchall()


async def revoke(connection: Connection, account_id: UUID, key_id: UUID) -> bool:
    """End a key; False where the account has no such key."""
    revoked = await connection.execute(REVOKE, {"key_id": key_id, "account_id": account_id})
    return await revoked.fetchone() is not None


async def revoke_all(connection: Connection, account_id: UUID) -> None:
    """End all keys of the account; after its sessions, in their transaction, also those that they made until then."""
    await connection.execute(REVOKE_ALL, {"account_id": account_id})


async def forget(connection: Connection) -> None:
    """Drop what has been over for long, as the worker may; until then its account sees that it is over."""
    await connection.execute(FORGET)
