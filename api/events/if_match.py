"""What an `If-Match` becomes: the editions of an event that a change is meant for, whatever was sold meanwhile."""

import re
from typing import Annotated

from fastapi import Depends, Header, Request

from api.http.inputs import unusable

HEADER = "If-Match"
# RFC 9110, 8.8.3 and 13.1.1; a list may have empty elements. What was taken is never given back (`++`): the time
# it takes to see that something is no list grows with its length alone.
_ELEMENT = r'[ \t]*+(?:(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"[ \t]*+)?+'
_LIST = re.compile(rf"(?:{_ELEMENT},)*+{_ELEMENT}")
# An edition, or the ETag of the event's answer, which begins with it. A weak one is never the same, and what is none of
# both is none that an event can have.
_EDITION = re.compile(r'(?<!W/)"([1-9][0-9]{0,18})(?:-[0-9a-f]{32})?"')

_Given = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description='The `edition` that the change is for, in quotes: `"12"`; or the ETag with which it was read.',
        examples=['"12"'],
    ),
]


async def _editions(request: Request, given: _Given = None) -> frozenset[int] | None:
    if given is None:
        return None
    tags = ", ".join(request.headers.getlist(HEADER))
    if tags.strip(" \t") == "*":
        return None
    if '"' not in tags or not _LIST.fullmatch(tags):
        raise unusable("header", HEADER, 'must be * or entity tags, such as "12" with its quotes')
    return frozenset(map(int, _EDITION.findall(tags)))


IfMatch = Annotated[frozenset[int] | None, Depends(_editions)]
