"""The express lane: a plain, well-formed request to reserve is answered without the framework's work per request.

All else, and whatever is wrong with a request, goes on to the route as it is declared, which gives the same answers.
"""

import re
from collections.abc import Coroutine
from typing import Any, cast

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.idempotency_keys import HEADER, KEY_PATTERN
from api.http.middleware import RequestIds
from api.plumbing.services import Services
from api.reservations.routes import reserve
from api.reservations.schemas import NewReservation

PATH = "/reservations"
MEDIA_TYPE = b"application/json"
SCHEME = b"Bearer "
KEY = re.compile(KEY_PATTERN.encode())
AUTHORIZATION, IDEMPOTENCY_KEY = b"authorization", HEADER.lower().encode()
CONTENT_TYPE, CONTENT_ENCODING = b"content-type", b"content-encoding"


class ExpressLane:
    """Takes `POST /reservations` in its usual form: one token, JSON that arrived at once, no query, perhaps a key."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_plain(scope):
            await self._app(scope, receive, send)
            return
        first = _at_once(receive)
        if first is None:
            await self._app(scope, receive, send)
        elif (answer := self._plainly_asked(scope, first)) is not None:
            await RequestIds(answer)(scope, receive, send)
        else:
            await self._app(scope, _again(first, receive), send)

    def _plainly_asked(self, scope: Scope, first: Message) -> ASGIApp | None:
        """What answers the request, None when it has not the usual form or anything is wrong with it."""
        headers = _given_once(scope)
        authorization, key = headers.get(AUTHORIZATION, b""), headers.get(IDEMPOTENCY_KEY)
        if headers.get(CONTENT_TYPE) != MEDIA_TYPE or not authorization.startswith(SCHEME):
            return None
        if CONTENT_ENCODING in headers:
            return None
        if first["type"] != "http.request" or first.get("more_body", False) or not (key is None or KEY.fullmatch(key)):
            return None
        body = first.get("body", b"")
        try:
            new = NewReservation.model_validate_json(body)
        except ValidationError:
            return None
        # No name and no value has a colon, so that another number of them says that a name was given twice.
        if body.count(b":") != len(new.model_fields_set):
            return None
        token = authorization[len(SCHEME) :].decode("latin-1").strip()
        key_given = key.decode() if key is not None else None

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            services: Services = self._app.state.services
            account = services.tokens.check(token)
            response = await reserve(new, account, services, scope["state"]["request_id"], key_given)
            await response(scope, receive, send)

        return answer


def _is_plain(scope: Scope) -> bool:
    """Whether the request line is the usual one."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
        return False
    return bool(scope["path"] == scope["root_path"] + PATH)


def _at_once(receive: Receive) -> Message | None:
    """The next message if it is there already; else None, and nothing was taken: it is not for here to wait.

    A coroutine that has its result without waiting ends at its first step; one that waits is closed there.
    """
    receiving = cast(Coroutine[Any, Any, Message], receive())
    try:
        receiving.send(None)
    except StopIteration as there:
        return cast(Message, there.value)
    receiving.close()
    return None


def _given_once(scope: Scope) -> dict[bytes, bytes]:
    """The headers by name; none at all when one of them was given twice."""
    headers = dict(scope["headers"])
    return headers if len(headers) == len(scope["headers"]) else {}


def _again(first: Message, receive: Receive) -> Receive:
    """A `receive` that gives the first message once more."""
    left = [first]

    async def receive_again() -> Message:
        return left.pop() if left else await receive()

    return receive_again
