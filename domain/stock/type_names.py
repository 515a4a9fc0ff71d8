"""When two ticket types have one name to whoever reads them."""

import re
import unicodedata

JOINERS = "\u200c\u200d"
# Letters, marks and symbols without ink: what Unicode ignores when it shows text, and the blank of Braille.
WITHOUT_INK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


def same_looking(name: str) -> str:
    """What names have in common that differ in case, width, spaces or in what cannot be seen (NFKC_Casefold)."""
    rest = WITHOUT_INK.sub("", unicodedata.normalize("NFKC", name)).translate(dict.fromkeys(map(ord, JOINERS)))
    return " ".join(unicodedata.normalize("NFKC", rest.casefold()).split())
