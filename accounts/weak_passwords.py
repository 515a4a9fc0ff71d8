"""Passwords that somebody who guesses tries first (NIST SP 800-63B, 3.1.1.2): common ones, the e-mail, repetitions."""

import gzip
from functools import cache
from importlib.resources import files
from itertools import pairwise

SHORTEST_PASSWORD = 8
COMMON_PASSWORDS = "common_passwords.txt.gz"


@cache
def common_passwords() -> frozenset[str]:
    """The most common ones that have 8 characters or more, in lower case."""
    packed = files("accounts").joinpath(COMMON_PASSWORDS).read_bytes()
    return frozenset(gzip.decompress(packed).decode().split("\n"))


def expect_strong(password: str, email: str | None) -> None:
    """Raises ValueError for a password that is common, or the e-mail, or has no more in it than a few characters."""
    folded = password.casefold()
    if folded in common_passwords():
        raise ValueError("must not be one of the most common passwords")
    if email is not None and folded in (email.casefold(), *email.casefold().split("@")):
        raise ValueError("must not be your e-mail or a part of it")
    if _repeats(folded):
        raise ValueError("must not be a few characters that are repeated")
    steps = {ord(after) - ord(before) for before, after in pairwise(folded)}
    if steps in ({1}, {-1}):
        raise ValueError("must not count up or down")


def _repeats(text: str) -> bool:
    """Whether fewer characters than a password has come again and again to the end, at least twice."""
    longest = min(SHORTEST_PASSWORD - 1, len(text) // 2)
    return any(text.startswith(text[n:]) for n in range(1, longest + 1))
