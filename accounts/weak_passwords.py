"""Passwords that somebody who guesses tries first (NIST SP 800-63B, 3.1.1.2): common ones, the e-mail, repetitions."""

import gzip
from functools import cache
from importlib.resources import files
from itertools import pairwise

SHORTEST_PASSWORD = 8
# A shorter name of an e-mail is in too many words to be looked for within a password.
SHORTEST_NAME = 3
COMMON_PASSWORDS = "common_passwords.txt.gz"


@cache
def common_passwords() -> frozenset[str]:
    """The most common ones that have 8 characters or more, in lower case."""
    packed = files("accounts").joinpath(COMMON_PASSWORDS).read_bytes()
    return frozenset(gzip.decompress(packed).decode().split("\n"))


def expect_strong(password: str, email: str | None) -> None:
    """Raises ValueError for a password that is common, has the e-mail's name in it, or no more than a few characters.

    Both are as they are stored: the password in NFKC, the e-mail in its one spelling.
    """
    folded = password.casefold()
    if folded in common_passwords():
        raise ValueError("must not be one of the most common passwords")
    if email is not None:
        _expect_without(email.casefold(), folded)
    if _repeats(folded):
        raise ValueError("must not be a few characters that are repeated")
    steps = {ord(after) - ord(before) for before, after in pairwise(folded)}
    if steps in ({1}, {-1}):
        raise ValueError("must not count up or down")


def _expect_without(email: str, password: str) -> None:
    """Raises ValueError for a password that is the e-mail or its domain, or contains its name, a tag aside."""
    name, _, domain = email.partition("@")
    untagged = name.partition("+")[0]
    if password in (email, name, domain):
        raise ValueError("must not be your e-mail or a part of it")
    if len(untagged) >= SHORTEST_NAME and untagged in password:
        raise ValueError("must not contain the name of your e-mail")


def _repeats(text: str) -> bool:
    """Whether fewer characters than a password has come again and again to the end, at least twice."""
    longest = min(SHORTEST_PASSWORD - 1, len(text) // 2)
    return any(text.startswith(text[n:]) for n in range(1, longest + 1))
