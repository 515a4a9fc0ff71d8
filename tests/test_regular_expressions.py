"""No regular expression of ours can be made to try the same text in ever so many ways."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from re import _constants as kinds  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from tests.test_tidy import CODE, ROOT

GIVES_BACK = (kinds.MAX_REPEAT, kinds.MIN_REPEAT)


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Those that our modules name, by where they stand."""
    for path in CODE:
        name = ".".join(Path(path).relative_to(ROOT).with_suffix("").parts)
        if path.stem not in ("__init__", "__main__"):
            values = vars(importlib.import_module(name)).items()
            yield from ((f"{name}.{each}", value) for each, value in values if isinstance(value, re.Pattern))


def repeats_within(parsed: Any, within: bool = False) -> bool:
    """Whether something without a bound that gives back what it took stands within another such."""
    for kind, what in parsed:
        endless = kind in GIVES_BACK and what[1] == kinds.MAXREPEAT
        if endless and within:
            return True
        inner = [what] if isinstance(what, parser.SubPattern) else what if isinstance(what, list | tuple) else []
        for part in inner:
            parts = part if isinstance(part, list) else [part]
            if any(repeats_within(one, within or endless) for one in parts if isinstance(one, parser.SubPattern)):
                return True
    return False


def test_nothing_without_a_bound_repeats_what_is_without_one() -> None:
    """What takes and never gives back (`*+`, `++`) may stand anywhere."""
    found = dict(patterns())
    assert len(found) > 10
    assert [name for name, each in found.items() if repeats_within(parser.parse(each.pattern, each.flags))] == []


def test_the_rule_tells_them_apart() -> None:
    for endless in ("(a+)+b", "(?:[ ]*,[ ]*)*", "((x|y*)z)+", "(?:(?:a+?b)?c)*"):
        assert repeats_within(parser.parse(endless)), endless
    for sound in ("a+b+", "(?:a++b)*", "(?:ab?){1,9}c*", "(?:(?:a*+)?+,)*+"):
        assert not repeats_within(parser.parse(sound)), sound
