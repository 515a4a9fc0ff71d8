"""Password hashes: argon2id, made off the event loop, two at a time."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from passlib.context import CryptContext

from eventstore.failures import Overloaded

HASHES_AT_ONCE = 2
HASHES_WAITING = 512
RETRY_AFTER_SECONDS = 5
LONGEST_PASSWORD = 128

ARGON2ID = CryptContext(schemes=["argon2"], argon2__memory_cost=19456, argon2__time_cost=2, argon2__parallelism=1)


@cache
def nobodys_hash() -> str:
    """What a login with an unknown e-mail is checked against, so that it takes as long; nothing fits it."""
    return str(ARGON2ID.hash(secrets.token_urlsafe()))


class Passwords:
    """Hashes and verifies passwords in threads of its own, about 20 ms each.

    Raises `Overloaded` when `HASHES_WAITING` are waiting already.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(HASHES_AT_ONCE, thread_name_prefix="passwords")
        self._waiting = 0
        self._nobodys_hash = nobodys_hash()

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The argon2id hash to store."""
        return str(await self._in_thread(ARGON2ID.hash, password))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is the right one; takes as long where there is no hash, and says False."""
        fits = len(password) <= LONGEST_PASSWORD
        right = await self._in_thread(ARGON2ID.verify, password[:LONGEST_PASSWORD], password_hash or self._nobodys_hash)
        return bool(right) and fits and password_hash is not None

    async def _in_thread(self, work: Callable[..., object], *arguments: str) -> object:
        if self._waiting >= HASHES_WAITING:
            raise Overloaded(RETRY_AFTER_SECONDS)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1
