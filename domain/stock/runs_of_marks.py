"""Marks that stand one after the other on one letter: to sort a long run of them takes the square of its length."""

import unicodedata

# Unicode's Stream-Safe Text Format (UAX #15).
LONGEST_RUN_OF_MARKS = 30
TOO_LONG = b"\1" * (LONGEST_RUN_OF_MARKS + 1)
# What is no mark itself, and is taken apart into nothing else.
MARKS_IN_DISGUISE = {
    "\u0f73": "\u0f71\u0f72",
    "\u0f75": "\u0f71\u0f74",
    "\u0f81": "\u0f71\u0f80",
    "\uff9e": "\u3099",
    "\uff9f": "\u309a",
}


def has_long_run(text: str) -> bool:
    """Whether more than `LONGEST_RUN_OF_MARKS` stand on one letter, in any normal form. As quick for any text."""
    return TOO_LONG in _where_marks_are(_undisguised(text))


def in_short_runs(text: str) -> str:
    """The text without those marks that come after the thirtieth of a run: normal forms of it take a line's time."""
    text = _undisguised(text)
    where = _where_marks_are(text)
    if TOO_LONG not in where:
        return text
    kept, run = [], 0
    for character, is_mark in zip(text, where, strict=True):
        run = run + 1 if is_mark else 0
        if run <= LONGEST_RUN_OF_MARKS:
            kept.append(character)
    return "".join(kept)


def _undisguised(text: str) -> str:
    for whole, marks in MARKS_IN_DISGUISE.items():
        text = text.replace(whole, marks)
    return text


def _where_marks_are(text: str) -> bytes:
    """A byte for each character, 1 for a mark and else 0."""
    return bytes(map(bool, map(unicodedata.combining, text)))
