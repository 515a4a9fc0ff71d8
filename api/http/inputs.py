"""What a client may send: strict JSON objects, visible text, RFC 3339 instants, and no query parameter unheard of."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, get_args, get_origin
from uuid import UUID

from annotated_types import GroupedMetadata
from fastapi import Query, Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
    WithJsonSchema,
)

from api.http.currencies import IN_USE
from api.http.text import composed, expect_visible
from domain.errors import spoken
from domain.inventory import NO_CURRENCY

LARGEST_POSITION = 2**63 - 1
LARGEST_PAGE = 200
USUAL_PAGE = 50
EARLIEST_YEAR, LATEST_YEAR = 2000, 2199

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_WHOLE_NUMBER = re.compile(r"-?\d{1,19}", re.ASCII)


class Body(BaseModel):
    """A JSON object: unknown fields are refused, and no value is turned into another type (`"2"` is no integer)."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Cancellation(Body):
    """Cancelling needs no fields and takes none; the body may be left out."""


def _storable(text: str) -> str:
    """PostgreSQL stores neither U+0000 nor half a surrogate pair."""
    if "\0" in text:
        raise ValueError("must not contain U+0000")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must not contain lone surrogates")
    return text


@dataclass(frozen=True)
class Text(GroupedMetadata):
    """`Annotated[str, Text(1, 200)]`: text that people read, trimmed and in NFC; lengths are counted after that.

    `running` text may have lines. `as_typed` is for secrets: they are not read, and nothing of them is changed.
    """

    min_length: int
    max_length: int
    running: bool = False
    as_typed: bool = False

    def __iter__(self) -> Iterator[object]:
        yield from StringConstraints(
            strip_whitespace=not self.as_typed, min_length=self.min_length, max_length=self.max_length
        )
        yield AfterValidator(_storable)
        if not self.as_typed:
            yield AfterValidator(self._visible)
            # It stands last, and comes first.
            yield BeforeValidator(self._composed)

    def _visible(self, text: str) -> str:
        expect_visible(text, running=self.running)
        return text

    def _composed(self, value: Any) -> Any:
        return composed(value, self.max_length) if isinstance(value, str) else value


def _to_instant(value: Any) -> datetime:
    """RFC 3339 with an offset, to UTC; a datetime of our own comes from an answer being rendered."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("must be an RFC 3339 instant with an offset, as 2030-05-01T19:30:00Z (in a URL, + is %2B)")
    if not EARLIEST_YEAR <= int(value[:4]) <= LATEST_YEAR:
        raise ValueError(f"must lie in the years {EARLIEST_YEAR} to {LATEST_YEAR}")
    instant = datetime.fromisoformat(value.upper()).astimezone(UTC)
    if not EARLIEST_YEAR <= instant.year <= LATEST_YEAR:
        raise ValueError(f"must lie in the years {EARLIEST_YEAR} to {LATEST_YEAR}")
    return instant


def _hyphens_only(value: Any) -> Any:
    """Of the ways to write a UUID only the usual one: `urn:uuid:…`, `{…}` and 32 digits in a row are none."""
    if isinstance(value, str) and not _UUID.fullmatch(value):
        raise ValueError("must be a UUID, as 019a0000-0000-7000-8000-000000000001")
    return value


def _digits_only(value: Any) -> Any:
    """A query is text: `2` is an integer there, `2.0`, `1_000` and ` 2` are not."""
    if isinstance(value, str) and not _WHOLE_NUMBER.fullmatch(value):
        raise ValueError("must be a whole number")
    return value


def _true_or_false(value: Any) -> Any:
    """Of the ways to say yes in a query only `true`: `1`, `on` and `Yes` are none."""
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value


def _in_use(currency: str) -> str:
    if currency != NO_CURRENCY and currency not in IN_USE:
        raise ValueError("must be a currency of ISO 4217 that is in use")
    return currency


Instant = Annotated[
    datetime,
    Strict(False),
    BeforeValidator(_to_instant),
    PlainSerializer(spoken, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Id = Annotated[UUID, Strict(False), BeforeValidator(_hyphens_only)]
Currency = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z]{3}$"),
    AfterValidator(_in_use),
    Field(description="ISO 4217, one that people pay with; `XXX` for free tickets only.", examples=["EUR"]),
]
Place = Annotated[str, Text(1, 200)]

YesOrNo = Annotated[bool, BeforeValidator(_true_or_false)]
PageSize = Annotated[int, Field(ge=1, le=LARGEST_PAGE), BeforeValidator(_digits_only)]
PageLimit = Annotated[PageSize, Query(description="Items of a page, 1 to 200.")]
PageLimitIfAny = Annotated[PageSize | None, Query(description="Items of a page, 1 to 200; 50 unless you say.")]
Position = Annotated[int, Field(ge=0, le=LARGEST_POSITION), BeforeValidator(_digits_only)]
MinPosition = Annotated[
    Position | None,
    Query(description="Wait until the answer includes this `Tixxety-Position`, at most 2 seconds; 0 does not wait."),
]


def unusable(place: str, name: str | None, problem: str) -> RequestValidationError:
    """The error about one input, for what validation by type can't see; `place` is query, header or body."""
    location = (place,) if name is None else (place, name)
    return RequestValidationError([{"type": "unusable", "loc": location, "msg": problem}])


async def refuse_unknown_query(request: Request) -> None:
    """Refuse a query parameter that the route does not know, or that comes twice, instead of ignoring a typo.

    One that takes several values may come several times.
    """
    if not request.scope["query_string"]:
        return
    fields = get_flat_params(request.scope["route"].dependant)
    known = {field.alias: field for field in fields if isinstance(field.field_info, params.Query)}
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise unusable("query", name, "is no query parameter here")
        if name in seen and not _takes_several(known[name].field_info.annotation):
            raise unusable("query", name, "was given twice")
        seen.add(name)


def _takes_several(annotation: Any) -> bool:
    return list in (get_origin(annotation), *map(get_origin, get_args(annotation)))
