"""Text that people read: in one spelling (NFC), and with nothing in it that they cannot see."""

import re
import unicodedata

import idna

from domain.stock.runs_of_marks import LONGEST_RUN_OF_MARKS, has_long_run
from domain.stock.type_names import JOINERS, WITHOUT_INK

# The most code points that one of NFC can be sent as.
LONGEST_DECOMPOSITION = 4

# In running text some format characters have their use: where a line may break, or a direction changes for a while.
OF_RUNNING_TEXT = "\t\n\r\u2028\u2029\u00ad\u061c\u200b\u200e\u200f\u2060\u2066\u2067\u2068\u2069\ufeff"
# Format characters that have ink: signs of Arabic, Syriac and Kaithi that stand over or under the number that follows.
FORMATS_WITH_INK = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"

_EMOJI = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
# What changes or joins the characters around it: in emoji, keycaps and flags, in Mongolian, and between ideographs.
_IN_SEQUENCE = re.compile(
    f"(?<=[{_EMOJI}])[\ufe0e\ufe0f]"
    f"|(?<=[{_EMOJI}\ufe0f\U000e007f])\u200d(?=[{_EMOJI}])"
    "|(?<=[#*0-9])\ufe0f(?=\u20e3)"
    "|(?<=\U0001f3f4)[\U000e0020-\U000e007e]+\U000e007f"
    "|(?<=[\u1820-\u18aa])[\u180b-\u180d\u180f]"
    "|(?<=[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\ufe00-\ufe02\U000e0100-\U000e01ef]"
)


def composed(text: str, max_length: int) -> str:
    """The text in NFC; what is longer than `max_length` in any spelling comes back as it is. Raises ValueError."""
    if text.isascii() or len(text) > max_length * LONGEST_DECOMPOSITION:
        return text
    if has_long_run(text):
        raise ValueError(f"must not have more than {LONGEST_RUN_OF_MARKS} marks on one letter")
    return unicodedata.normalize("NFC", text)


def expect_visible(text: str, *, running: bool) -> None:
    """Raises ValueError for a character that a person would not see, and for a text that has no other.

    A joiner or selector may stand where it shapes letters or an emoji; `running` text has what lines need, too.
    """
    if text.isascii() and text.isprintable():
        return
    rest = _IN_SEQUENCE.sub("", text)
    taken = OF_RUNNING_TEXT if running else ""
    unseen = {character for character in set(rest) if character not in taken and not _is_seen(character)}
    for place, character in enumerate(rest if unseen else ""):
        if character in unseen and not (character in JOINERS and _joins_letters(rest, place)):
            raise ValueError(f"must not contain U+{ord(character):04X} here, which cannot be seen")
    if not running and all(unicodedata.category(character)[0] in "ZM" for character in rest):
        raise ValueError("must contain something that can be seen")


def _is_seen(character: str) -> bool:
    """Private and unassigned characters are shown as a box, or by a font that is younger than this Python."""
    if WITHOUT_INK.match(character):
        return False
    return (
        character.isprintable()
        or character in FORMATS_WITH_INK
        or unicodedata.category(character) in ("Zs", "Co", "Cn")
    )


def _joins_letters(text: str, place: int) -> bool:
    """Whether the script needs the joiner there (RFC 5892, appendix A: after a virama, between Arabic letters)."""
    try:
        return idna.valid_contextj(text, place)
    except ValueError:  # it stands beside a character that has no name
        return False
