"""JSON that is rendered once, by msgspec, as a declared answer says: no model is built and validated for it."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec
from fastapi import Response
from pydantic import BaseModel

MEDIA_TYPE = b"application/json"

encode = msgspec.json.Encoder().encode


def renderer(answer: type[BaseModel], **attributes: str) -> Callable[[Any], msgspec.Struct]:
    """Gives what encodes as `answer` declares it, from an object with the same attributes.

    `attributes` names those that are called otherwise: `id="event_id"`. Values are rendered as they are: instants have
    to be in UTC, and fields that are answers themselves rendered already.
    """
    names = tuple(answer.model_fields)
    shape = msgspec.defstruct(answer.__name__, names, frozen=True, gc=False)
    values_of = attrgetter(*(attributes.get(name, name) for name in names))
    return lambda shown: shape(*values_of(shown))


class ReadyJson(Response):
    """An answer whose bytes and headers are there already."""

    def __init__(self, body: bytes, headers: list[tuple[bytes, bytes]], status: int = 200) -> None:
        self.status_code = status
        self.body = body
        self.raw_headers = headers
        self.background = None


# So many headers come first and are about the body alone.
ABOUT_BODY = 2


def json_headers(body: bytes, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """The headers of a JSON body: its length, its type, and what else there is."""
    return [(b"content-length", b"%d" % len(body)), (b"content-type", MEDIA_TYPE), *more]


def ready_json(body: bytes) -> ReadyJson:
    """The answer with this JSON."""
    return ReadyJson(body, json_headers(body))
