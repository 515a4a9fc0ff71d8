"""Random secrets that are handed out once: 256 bits each, of which no more than a hash is kept."""

import hashlib
import secrets

RANDOM_BYTES = 32


def random_token(prefix: str) -> str:
    """A new one. By the prefix who finds it in a file or a log knows what it is."""
    return prefix + secrets.token_urlsafe(RANDOM_BYTES)


def hash_of(token: str) -> bytes:
    """What is kept of it. What is random needs no salt and no slow hash: it can't be guessed."""
    return hashlib.sha256(token.encode()).digest()
