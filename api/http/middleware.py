"""Around every request: its id, the bounds of its body, and an answer even when something broke. Plain ASGI."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import structlog
import uuid_utils.compat
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import BodyTooLarge, InternalError, RequestTimeout, Stopping, UnsupportedContentCoding
from api.http.problems import no_of, problem_response
from api.http.rate_limits import RateLimits
from eventstore.errors import Failure

LARGEST_BODY_BYTES = 256 * 1024
LONGEST_BODY_SECONDS = 30
REQUEST_ID_HEADER = b"x-request-id"
AUTHORIZATION, CACHE_CONTROL = b"authorization", b"cache-control"

# What a scope's state says of a request beside its `request_id`: which task answers it, and that its client has left.
ANSWERING, CLIENT_LEFT = "answering", "client_left"

new_request_id = uuid_utils.compat.uuid7

log = structlog.get_logger(__name__)


class HeadAsGet:
    """Outermost: answers HEAD as it would GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, send_head)


class RequestIds:
    """Gives each request an id, sends it as `X-Request-Id`, and turns what nobody caught into a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {}).update({"request_id": new_request_id(), ANSWERING: asyncio.current_task()})
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = with_own_headers(scope, message.get("headers", ()))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except (asyncio.CancelledError, Exception) as error:
            answer = answer_to(error, scope)
            if answer is None:
                return
            if started:
                raise
            await answer(scope, receive, send_with_id)


async def answered(scope: Scope, answering: Callable[[], Awaitable[Response]]) -> Response | None:
    """What `RequestIds` would send to a request that has its id already; None when there is nobody to send it to."""
    scope["state"][ANSWERING] = asyncio.current_task()
    try:
        answer: Response | None = await answering()
    except (asyncio.CancelledError, Exception) as error:
        answer = answer_to(error, scope)
    if answer is not None:
        answer.raw_headers = with_own_headers(scope, answer.raw_headers)
    return answer


def with_own_headers(scope: Scope, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, with the request's id.

    Nothing is stored on the way but what anybody may read: answers to a token, and writes, are private.
    """
    own = [*headers, (REQUEST_ID_HEADER, str(scope["state"]["request_id"]).encode())]
    is_private = scope["method"] != "GET" or any(name == AUTHORIZATION for name, _ in scope["headers"])
    if is_private and not any(name == CACHE_CONTROL for name, _ in own):
        own.append((CACHE_CONTROL, b"no-store"))
    return own


def answer_to(error: BaseException, scope: Scope) -> Response | None:
    """The problem that tells of what ended a request; None when its client has left."""
    if isinstance(error, asyncio.CancelledError):
        # Or the server stops; what it would log of a cancelled request is a traceback.
        return None if scope["state"].get(CLIENT_LEFT) else problem_response(Stopping(), scope)
    no = no_of(error)
    if no is None:
        asked = {"request_id": str(scope["state"]["request_id"]), "method": scope["method"], "path": scope["path"]}
        log.error("request broke", exc_info=error, **asked)
    if isinstance(no, Failure):
        scope["app"].state.failure_log.note(no)
    return problem_response(no or InternalError(), scope)


def give_up(scope: Mapping[str, Any]) -> None:
    """Answer this request no further: its client has left.

    What is asked of the database is ended there, and a command that waits is not begun; one that is under way goes on.
    """
    answering: asyncio.Task[None] | None = scope.get("state", {}).get(ANSWERING)
    if answering is not None:
        scope["state"][CLIENT_LEFT] = True
        answering.cancel()


class LimitedRates:
    """Counts requests to `/auth/*` by address, and refuses those above the limit before their body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].removeprefix(scope["root_path"]).startswith("/auth/"):
            rate_limits: RateLimits = scope["app"].state.services.rate_limits
            await rate_limits.count_request(rate_limits.address_of(scope))
        await self._app(scope, receive, send)


class BoundedBodies:
    """Reads the whole body before the route does, and refuses it once it is larger or slower than the bounds."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedContentCoding
        announced = headers.get("content-length", "0")
        if announced.isdecimal() and int(announced[:20]) > LARGEST_BODY_BYTES:
            raise BodyTooLarge(LARGEST_BODY_BYTES)
        try:
            async with asyncio.timeout(LONGEST_BODY_SECONDS):
                body = await _read_body(receive)
        except TimeoutError:
            raise RequestTimeout(LONGEST_BODY_SECONDS) from None
        if body is None:
            return
        whole: Message | None = {"type": "http.request", "body": body, "more_body": False}

        async def receive_whole() -> Message:
            nonlocal whole
            if whole is None:
                return await receive()
            message, whole = whole, None
            return message

        await self._app(scope, receive_whole, send)


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body; None when the client left before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY_BYTES:
            raise BodyTooLarge(LARGEST_BODY_BYTES)
        if not message.get("more_body", False):
            return bytes(body)
