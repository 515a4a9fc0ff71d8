"""The API in this process on a real database, and accounts to ask with."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from typing import Any, NamedTuple
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from accounts import account_queries
from accounts.passwords import ARGON2ID
from api.app import ApiConfig, create_app
from api.express_lane import ExpressLane
from tests.begun_sessions import BEGIN_SESSIONS, token_of
from tests.conftest import fresh_database

JWT_SECRET = "a secret for tests, and for nothing else"
PASSWORD = "correct horse battery"


class LoggedIn(NamedTuple):
    """An account with a token; `headers` make a request its own."""

    id: str
    email: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


LogIn = Callable[..., Awaitable[LoggedIn]]


@pytest.fixture
def config(database_url: str) -> ApiConfig:
    """What the API under test is told; override to tell it something else."""
    return ApiConfig(box_office=database_url, jwt_secret=JWT_SECRET, rate_limits=False)


@cache
def routes_put_together() -> list[BaseRoute]:
    """The routes of an application, whatever it is told: to put them together takes FastAPI 0.1 s of processor."""
    return create_app(ApiConfig(box_office="postgresql://nowhere", jwt_secret=JWT_SECRET)).routes


def application(config: ApiConfig) -> FastAPI:
    """An application as `create_app` gives it, which finds the included routes put together by those before it."""
    app = create_app(config)
    app.router.routes = [
        own if isinstance(own, Route) else shared for own, shared in zip(app.routes, routes_put_together(), strict=True)
    ]
    return app


@pytest.fixture(scope="module")
async def shared_app(server_url: str, template: str) -> AsyncIterator[FastAPI]:
    """One for all tests of a file that take it as their `app`: each looks at nothing but what it has made itself."""
    with fresh_database(server_url, template) as url:
        app = application(ApiConfig(box_office=url, jwt_secret=JWT_SECRET, rate_limits=False))
        async with app.router.lifespan_context(app):
            yield app


@pytest.fixture
async def app(config: ApiConfig) -> AsyncIterator[FastAPI]:
    """The application with its lifespan begun: connected, committing and following."""
    app = application(config)
    async with app.router.lifespan_context(app):
        yield app


class AtOnce:
    """Does as the server does: answers by the lane, and gives a body that arrives at once in one message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})
        lane = self._app if isinstance(self._app, ExpressLane) else None
        if lane is not None and (answer := lane.at_hand(scope)) is not None:
            await answer(scope, receive, send)
            return
        # A body without a length comes in pieces.
        if scope["method"] != "GET" and b"content-length" not in dict(scope["headers"]):
            await self._app(scope, receive, send)
            return
        messages: list[Message] = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        whole = [{"type": "http.request", "body": b"".join(message["body"] for message in messages)}]
        if lane is not None and (answering := lane.begin(scope, whole[0]["body"])) is not None:
            if (answer := await answering) is not None:
                await answer(scope, receive, send)
            return

        async def receive_whole() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, receive_whole, send)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks HTTP to the application without a socket between."""
    transport = httpx2.ASGITransport(AtOnce(ExpressLane(app)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://box-office") as client:
        yield client


@cache
def password_hash() -> str:
    """Of `PASSWORD`; hashing anew for each account would be half of a test's work."""
    return str(ARGON2ID.hash(PASSWORD))


@pytest.fixture
def new_account(app: FastAPI) -> LogIn:
    """Makes an account as registering does, and a session with its token: `await new_account(city="Graz")`."""

    async def make(**details: Any) -> LoggedIn:
        values = {"email": f"{uuid4().hex}@example.com", "name": "Ada", "password_hash": password_hash()}
        address = dict.fromkeys(("street", "city", "state", "country"))
        async with app.state.services.pool.connection() as connection:
            row = await account_queries.insert(connection, account_id=uuid7(), **address | values | details)
            assert row is not None, "the e-mail is taken"
            await connection.execute(BEGIN_SESSIONS, {"ids": [row.id]})
        return LoggedIn(str(row.id), row.email, token_of(JWT_SECRET, row.id))

    return make


async def log_in(client: httpx2.AsyncClient, email: str, password: str = PASSWORD) -> LoggedIn:
    """Log in with what must be the right password."""
    answered = await client.post("/auth/login", data={"username": email, "password": password})
    assert answered.status_code == 200, answered.text
    token = answered.json()["access_token"]
    me = await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
    return LoggedIn(me.json()["id"], email, token)


def problem_of(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of a response that must be this one."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), (
        response.text
    )
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"/problems/{code}", problem
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem
