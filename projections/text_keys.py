"""What texts have in common that a person would call the same, and pieces of it by which an index finds words."""

import re
import unicodedata
from collections.abc import Iterable
from zlib import crc32

from domain.stock.runs_of_marks import in_short_runs

# Combining marks of Latin, Greek and Cyrillic, points of Hebrew and Arabic, and what nobody sees. In other scripts
# marks are letters: without its vowels a word of Hindi or Thai is another one, and ga is not ka.
_UNHEARD = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
    "\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
# Letters with a stroke or of two letters, which Unicode does not take apart, and signs that keyboards lack.
_PLAIN = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "ŀ": "l", "ŋ": "n"}
    | {"æ": "ae", "œ": "oe", "þ": "th"}
    | dict.fromkeys("‘’‚‛ʻʼ′`´", "'")
    | dict.fromkeys("“”„‟″«»", '"')
    | dict.fromkeys("‐‑‒–—―−", "-")
)
PIECE = 3
# 10,240 letters of two bytes: the longest title and description in Latin, Greek, Cyrillic, Hebrew or Arabic.
LARGEST_KEY_BYTES = 20 * 1024
# As many letters as a place may have, however many bytes they take.
LARGEST_PLACE_BYTES = 4 * 200


def text_key(text: str, largest: int = LARGEST_KEY_BYTES) -> str:
    """The text without case, accents and ways to encode them: `STRASSE` and `Straße` have one, `café` and `Cafe`.

    It ends after `largest` bytes of UTF-8, and no letter keeps more than 30 marks. Twice in a row it gives the same.
    The cost grows with the text's length, whatever is in it.
    """
    if text.isascii():
        return text.lower()[:largest]
    # One character may become 18.
    decomposed = unicodedata.normalize("NFKD", in_short_runs(text))[:largest]
    folded = unicodedata.normalize("NFKD", decomposed.casefold())
    # Without what is not heard between them, short runs of marks become a long one.
    plain = in_short_runs(_UNHEARD.sub("", folded).translate(_PLAIN))
    return unicodedata.normalize("NFC", plain).encode()[:largest].decode(errors="ignore")


def place_key(place: str | None) -> str | None:
    """The same of what a place is called, however it is spaced."""
    return None if place is None else " ".join(text_key(place, LARGEST_PLACE_BYTES).split())


def words_of(text: str) -> list[str]:
    """The words of a text's key."""
    return text_key(text).split()


def pieces(words: Iterable[str]) -> list[int]:
    """A number for every three characters in a row of a word, in order; outside of ASCII for every two as well.

    A word that occurs in a text has no pieces that the text has not. Two pieces may have one number.
    """
    found = set()
    for word in words:
        found |= {word[i : i + PIECE] for i in range(len(word) - PIECE + 1)}
        if not word.isascii():
            found |= {pair for i in range(len(word) - 1) if not (pair := word[i : i + 2]).isascii()}
    return sorted(crc32(piece.encode()) - 2**31 for piece in found)
