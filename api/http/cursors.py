"""Pages of a list: the opaque cursor that says where the next one begins."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from fastapi import Query
from pydantic import BaseModel

from api.http.inputs import LARGEST_POSITION, unusable
from api.http.ready_json import encode

Item = TypeVar("Item")
Row = TypeVar("Row")
After = TypeVar("After", bound=tuple[Any, ...])

LARGEST_PAGE_BYTES = 512 * 1024
FOREIGN_CURSOR = "is not one that this list gave for these filters; begin again without it"

Cursor = Annotated[
    str | None,
    Query(max_length=400, description="The `next_cursor` of the page before, with the same filters as that page."),
]


class Page(BaseModel, Generic[Item]):
    """A part of a list; `next_cursor` is null on the last page."""

    items: list[Item]
    next_cursor: str | None


def page_of(
    rows: Sequence[Row], limit: int, filters: tuple[Any, ...], after_of: Callable[[Row], tuple[Any, ...]]
) -> tuple[Sequence[Row], str | None]:
    """The rows to show and the next page's cursor, from up to `limit` + 1 rows: the one too many says that more follow.

    `after_of` gives a row's place in the list's order. A page of wide rows ends before the limit.
    """
    shown = within_bytes(rows[:limit], lambda row: len(msgspec.json.encode(row)))
    if len(shown) == len(rows):
        return rows, None
    return shown, cursor_at(filters, after_of(shown[-1]))


def page_json(
    rows: Sequence[Row],
    limit: int,
    filters: tuple[Any, ...],
    after_of: Callable[[Row], tuple[Any, ...]],
    render: Callable[[Row], Any],
) -> bytes:
    """A `Page` of what `render` makes of the rows, as ready JSON; else as `page_of`."""
    items: list[bytes] = []
    total = 0
    for row in rows[:limit]:
        total += len(item := encode(render(row)))
        if items and total > LARGEST_PAGE_BYTES:
            break
        items.append(item)
    next_cursor = None if len(items) == len(rows) else cursor_at(filters, after_of(rows[len(items) - 1]))
    return b'{"items":[%b],"next_cursor":%b}' % (b",".join(items), encode(next_cursor))


def within_bytes(rows: Sequence[Row], bytes_of: Callable[[Row], int]) -> Sequence[Row]:
    """As many of the rows as together have no more than `LARGEST_PAGE_BYTES` as JSON; the first in any case."""
    total = 0
    for place, row in enumerate(rows):
        total += bytes_of(row)
        if place and total > LARGEST_PAGE_BYTES:
            return rows[:place]
    return rows


def after_cursor(cursor: str | None, filters: tuple[Any, ...], shape: type[After]) -> After | None:
    """The place in the list's order that the cursor stands for; None without one.

    `shape` is the type of that place; whole numbers that are not as large as positions have their bounds there. Raises
    RequestValidationError for a cursor that is damaged, from another list, or such as no page has.
    """
    if cursor is None:
        return None
    try:
        written = urlsafe_b64decode(cursor.encode("ascii"))
        after = msgspec.json.decode(written, type=tuple[str, shape])[1]  # type: ignore[valid-type]
    except (ValueError, msgspec.DecodeError) as error:
        raise unusable("query", "cursor", FOREIGN_CURSOR) from error
    if not all(map(_may_be_of_a_row, after)) or cursor != cursor_at(filters, after):
        raise unusable("query", "cursor", FOREIGN_CURSOR)
    return after


def _may_be_of_a_row(part: Any) -> bool:
    """Anybody can work out a check: what a row has never had must not reach the database, which might refuse it."""
    if isinstance(part, datetime):
        return part.tzinfo is UTC
    return not isinstance(part, int) or 0 <= part <= LARGEST_POSITION


def cursor_at(filters: tuple[Any, ...], after: tuple[Any, ...]) -> str:
    """The cursor that stands for a place in the list's order, good for these filters only."""
    check = hashlib.sha256(msgspec.json.encode([filters, after])).hexdigest()[:16]
    return urlsafe_b64encode(msgspec.json.encode([check, after])).decode()
