"""Password hashes: argon2id, made off the event loop, two at a time, and after whatever else has to be done."""

import asyncio
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from unicodedata import normalize

from passlib.context import CryptContext

from accounts.errors import PasswordsOverloaded

HASHES_AT_ONCE = 2
HASHES_WAITING = 512
LONGEST_PASSWORD = 128
# A character can be typed as up to four; in what is longer, marks are sorted for longer than a password is worth.
LONGEST_TYPED = 4 * LONGEST_PASSWORD
# A flood of logins takes what selling leaves of the processor, not half of it.
NICENESS = 10

ARGON2ID = CryptContext(schemes=["argon2"], argon2__memory_cost=19456, argon2__time_cost=2, argon2__parallelism=1)


def prepared(password: str) -> str:
    """As it is hashed: NFKC, since keyboards encode one letter in different ways (NIST SP 800-63B, 3.1.1.2).

    What is too long to be a password in any spelling stays as it is.
    """
    return normalize("NFKC", password) if len(password) <= LONGEST_TYPED else password


@cache
def nobodys_hash() -> str:
    """What a login with an unknown e-mail is checked against, so that it takes as long; nothing fits it."""
    return str(ARGON2ID.hash(secrets.token_urlsafe()))


class Passwords:
    """Hashes and verifies passwords in threads of its own, about 20 ms each.

    Whoever does so has a turn, from before it looks up what belongs to it, such as the hash to verify by.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(HASHES_AT_ONCE, thread_name_prefix="passwords", initializer=_give_way)
        self._waiting = 0
        self._nobodys_hash = nobodys_hash()

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One of the `HASHES_WAITING` turns that may be waited for. Raises `PasswordsOverloaded` when all are taken."""
        if self._waiting >= HASHES_WAITING:
            raise PasswordsOverloaded
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def hash(self, password: str) -> str:
        """The argon2id hash to store."""
        return str(await self._in_thread(ARGON2ID.hash, prepared(password)))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is the right one; takes as long where there is no hash, and says False.

        Accounts from before passwords were prepared have the hash of what was typed: that is tried, too.
        """
        spellings = list(dict.fromkeys((prepared(password), password)))
        right = await self._in_thread(_fits_any, spellings, password_hash or self._nobodys_hash)
        return bool(right) and password_hash is not None

    async def _in_thread(self, work: Callable[..., object], *arguments: object) -> object:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def _fits_any(spellings: list[str], password_hash: str) -> bool:
    return any(
        ARGON2ID.verify(spelling[:LONGEST_PASSWORD], password_hash) and len(spelling) <= LONGEST_PASSWORD
        for spelling in spellings
    )


def _give_way() -> None:
    """Lower the priority of this thread; elsewhere than on Linux that would be the whole process's."""
    if sys.platform == "linux":
        os.nice(NICENESS)
