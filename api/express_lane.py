"""The express lane: usual requests to the busiest routes are answered without the framework's work for each.

The function that is declared for the route answers here as well. All that is unusual about a request or wrong with it
goes on to the framework, and is answered there as if there were no lane.
"""

import re
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import Any, TypeVar, cast
from uuid import UUID

from fastapi import FastAPI, Response
from pydantic import BaseModel, ValidationError
from starlette.types import Message, Receive, Scope, Send

from accounts.api_keys import PREFIX
from accounts.errors import NotAuthenticated
from accounts.tokens import Account
from api.events.filters import ALL_UPCOMING
from api.events.routes import first_page_key, list_events, read_event
from api.http.idempotency_keys import HEADER, KEY_PATTERN
from api.http.inputs import USUAL_PAGE
from api.http.middleware import answered, new_request_id, with_own_headers
from api.plumbing.authentication import expect_logged_in
from api.plumbing.read_your_writes import Reader
from api.plumbing.services import Services
from api.reservations.routes import cancel_reservation, list_reservations, pay_reservation, read_reservation, reserve
from api.reservations.schemas import NewReservation, Payment, ReservationCancellation

# Many ask for the same event.
REMEMBERED_IDS = 4_096
MEDIA_TYPE = b"application/json"
SCHEME = b"Bearer "
KEY = re.compile(KEY_PATTERN.encode())
AUTHORIZATION, IDEMPOTENCY_KEY, IF_NONE_MATCH = b"authorization", HEADER.lower().encode(), b"if-none-match"
CONTENT_TYPE, CONTENT_ENCODING = b"content-type", b"content-encoding"
CONTENT_LENGTH, TRANSFER_ENCODING = b"content-length", b"transfer-encoding"
# What is around the application may have more to say to a request of another origin's page.
ORIGIN = b"origin"
# With one of these it takes more than the answer that everybody is given.
NOT_ALIKE = {ORIGIN, AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING, CONTENT_ENCODING, b"expect", b"upgrade"}
# The name by which a server finds the lane in the state of the application's lifespan.
EXPRESS_LANE = "express_lane"
OF_ONE = re.compile(r"(/[a-z]+)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(/[a-z]+)?", re.ASCII)

_id = lru_cache(REMEMBERED_IDS)(UUID)

Model = TypeVar("Model", bound=BaseModel)


class Unusual(Exception):
    """The request is not for the lane."""


class Asked:
    """A usual request: no header comes twice, there is no query, and its body is there. May raise `Unusual`."""

    def __init__(self, services: Services, scope: Scope, one_id: UUID | None, body: bytes) -> None:
        self.services = services
        self.id = cast(UUID, one_id)
        self.request_id = scope["state"]["request_id"] = new_request_id()
        self._headers = headers = _given_once(scope)
        self._body = body
        self._token = _token(headers.get(AUTHORIZATION))
        if CONTENT_ENCODING in headers:
            raise Unusual
        if scope["method"] == "GET" and (CONTENT_LENGTH in headers or TRANSFER_ENCODING in headers):
            raise Unusual

    def account(self) -> Account:
        """Who asks. Raises `NotAuthenticated`."""
        if self._token is None:
            raise NotAuthenticated
        return self.services.tokens.check(self._token)

    async def logged_in(self) -> Account:
        """The same for what can't be undone. Raises `NotAuthenticated`, also where the session has ended."""
        return await expect_logged_in(self.services, self.account())

    def reader(self) -> Reader:
        """Who reads, if anybody known."""
        return Reader(self.account() if self._token is not None else None, self.services, None)

    def key(self) -> str | None:
        """The idempotency key."""
        key = self._headers.get(IDEMPOTENCY_KEY)
        if key is None:
            return None
        if not KEY.fullmatch(key):
            raise Unusual
        return key.decode()

    def if_none_match(self) -> str | None:
        """The ETags of what the client has."""
        named = self._headers.get(IF_NONE_MATCH)
        return None if named is None else named.decode("latin-1")

    def body(self, model: type[Model]) -> Model:
        """The JSON object that is the body."""
        if self._headers.get(CONTENT_TYPE) != MEDIA_TYPE or self._token is None:
            raise Unusual
        try:
            read = model.model_validate_json(self._body)
        except ValidationError:
            raise Unusual from None
        # No name has a colon, so that more of them say that one is in a value or that a name is given twice.
        if self._body.count(b":") != len(read.model_fields_set):
            raise Unusual
        return read

    def body_if_any(self, model: type[Model]) -> Model | None:
        """The same where it may be left out."""
        return self.body(model) if self._body else None


Answering = Callable[[], Awaitable[Response]]


def _reserve(asked: Asked) -> Answering:
    new, key = asked.body(NewReservation), asked.key()
    return lambda: reserve(new, asked.account(), asked.services, asked.request_id, key)


def _pay(asked: Asked) -> Answering:
    payment, key = asked.body_if_any(Payment), asked.key()

    async def answering() -> Response:
        account = await asked.logged_in()
        return await pay_reservation(asked.id, account, asked.services, asked.request_id, payment, key)

    return answering


def _cancel(asked: Asked) -> Answering:
    cancellation, key = asked.body_if_any(ReservationCancellation), asked.key()

    async def answering() -> Response:
        account = await asked.logged_in()
        return await cancel_reservation(asked.id, account, asked.services, asked.request_id, cancellation, key)

    return answering


# By method and path, without the root path; each reads what it needs, and then answers.
ROUTES: dict[tuple[str, str], Callable[[Asked], Answering]] = {
    ("GET", "/events"): lambda asked: (
        lambda: list_events(asked.reader(), ALL_UPCOMING, if_none_match=asked.if_none_match())
    ),
    ("GET", "/events/{id}"): lambda asked: lambda: read_event(asked.id, asked.reader(), asked.if_none_match()),
    ("GET", "/reservations"): lambda asked: lambda: list_reservations(asked.account(), asked.reader()),
    ("GET", "/reservations/{id}"): lambda asked: lambda: read_reservation(asked.id, asked.account(), asked.reader()),
    ("POST", "/reservations"): _reserve,
    ("POST", "/reservations/{id}/pay"): _pay,
    ("POST", "/reservations/{id}/cancel"): _cancel,
}

# The routes whose answers everybody is given alike: the key that each is kept by, and the event that it shows.
ALIKE: dict[Callable[[Asked], Answering], Callable[[UUID | None], tuple[object, UUID | None]]] = {
    ROUTES["GET", "/events"]: lambda _: (first_page_key(USUAL_PAGE), None),
    ROUTES["GET", "/events/{id}"]: lambda one_id: (one_id, one_id),
}


class ExpressLane:
    """Takes the usual requests to `ROUTES`: one token or none, JSON that arrived at once, no query, perhaps a key."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def at_hand(self, scope: Scope) -> Response | None:
        """The answer, if it is kept and everybody is given it alike."""
        found = _route_of(scope) if scope["method"] == "GET" else None
        if found is None or found[0] not in ALIKE or not NOT_ALIKE.isdisjoint(name for name, _ in scope["headers"]):
            return None
        route, one_id = found
        services: Services = self._app.state.services
        kept = services.kept_answers.at_hand(*ALIKE[route](one_id))
        if kept is None:
            return None
        named = [value for name, value in scope["headers"] if name == IF_NONE_MATCH]
        if len(named) > 1:
            return None
        answer = kept.response(to_anybody=True, if_none_match=named[0].decode("latin-1") if named else None)
        scope["state"]["request_id"] = new_request_id()
        answer.raw_headers = with_own_headers(scope, answer.raw_headers)
        return answer

    def begin(self, scope: Scope, body: bytes) -> Coroutine[Any, Any, Response | None] | None:
        """The answer in the making; None where the request is not for the lane, or for who is around it as well.

        It is sent as it is, and nothing where its client has left.
        """
        if any(name == ORIGIN for name, _ in scope["headers"]):
            return None
        return self._begin(scope, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering, first = None, None
        if scope["type"] == "lifespan" and "state" in scope:
            scope["state"][EXPRESS_LANE] = self
        if scope["type"] == "http" and _route_of(scope) is not None:
            first = _at_once(receive) if scope["method"] != "GET" else None
            scope.setdefault("state", {})
            if first is None:
                answering = self._begin(scope, b"") if scope["method"] == "GET" else None
            elif first["type"] == "http.request" and not first.get("more_body", False):
                answering = self._begin(scope, first.get("body", b""))
        if answering is None:
            await self._app(scope, receive if first is None else _again(first, receive), send)
        elif (answer := await answering) is not None:
            await answer(scope, receive, send)

    def _begin(self, scope: Scope, body: bytes) -> Coroutine[Any, Any, Response | None] | None:
        found = _route_of(scope)
        if found is None:
            return None
        route, one_id = found
        try:
            answering = route(Asked(self._app.state.services, scope, one_id, body))
        except Unusual:
            return None
        scope["app"] = self._app
        return answered(scope, answering)


def _route_of(scope: Scope) -> tuple[Callable[[Asked], Answering], UUID | None] | None:
    """The route that is asked for, and the id in its path; None unless it is the lane's."""
    if scope["query_string"]:
        return None
    path: str = scope["path"]
    if root_path := scope["root_path"]:
        if not path.startswith(root_path):
            return None
        path = path[len(root_path) :]
    one_id = None
    if of_one := OF_ONE.fullmatch(path):
        noun, its_id, verb = of_one.groups()
        path, one_id = f"{noun}/{{id}}{verb or ''}", _id(its_id)
    route = ROUTES.get((scope["method"], path))
    return None if route is None else (route, one_id)


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
    """The headers by name. Raises `Unusual` when one of them was given twice."""
    headers = dict(scope["headers"])
    if len(headers) != len(scope["headers"]):
        raise Unusual
    return headers


def _token(authorization: bytes | None) -> str | None:
    """The access token. Raises `Unusual` for what is none, as an API key: what that may do is for the framework."""
    if authorization is None:
        return None
    token = authorization[len(SCHEME) :].decode("latin-1").strip()
    if not authorization.startswith(SCHEME) or token.startswith(PREFIX):
        raise Unusual
    return token


def _again(first: Message, receive: Receive) -> Receive:
    """A `receive` that gives the first message once more."""
    left = [first]

    async def receive_again() -> Message:
        return left.pop() if left else await receive()

    return receive_again
