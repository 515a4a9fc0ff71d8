"""Every "no" as HTTP shows it: one document, one status, one page, and never a stack trace."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import psycopg_pool
import pytest
from fastapi import FastAPI

from accounts import errors as accounts
from api.http import errors as http
from api.http.middleware import RequestIds
from api.http.problems import PROBLEM_TYPES, facts_of, install
from auditing.replay import errors as auditing
from domain import errors as domain
from domain.errors import InvalidRequest, LimitPerBuyer, Refusal, SoldOut
from eventstore import errors
from eventstore.errors import Failure
from eventstore.postgres import pools
from tests.api.conftest import LogIn, problem_of


class Raising:
    """A small application whose only route raises what the test puts here."""

    error: Exception


@pytest.fixture
async def raising() -> AsyncIterator[tuple[Raising, httpx2.AsyncClient]]:
    app, raised = FastAPI(), Raising()

    @app.get("/")
    async def route() -> None:
        raise raised.error

    app.add_middleware(RequestIds)
    install(app)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://box-office") as client:
        yield raised, client


def kinds_of(root: type[Exception], *modules: Any) -> list[type[Exception]]:
    found = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return [kind for kind in dict.fromkeys(found) if issubclass(kind, root) and kind is not root]


def test_every_refusal_has_a_problem_type_and_every_problem_type_a_refusal() -> None:
    refusals = {kind.code for kind in kinds_of(Refusal, domain, http, accounts, auditing) if issubclass(kind, Refusal)}
    failed = {kind.code for kind in kinds_of(Failure, errors, http) if issubclass(kind, Failure)}
    assert refusals | failed == PROBLEM_TYPES.keys()
    assert all(kind.example.code == code for code, kind in PROBLEM_TYPES.items())


@pytest.mark.parametrize("code", PROBLEM_TYPES)
def test_no_fact_takes_a_name_that_every_problem_has(code: str) -> None:
    taken = {"type", "title", "status", "detail", "instance", "request_id"}
    assert facts_of(PROBLEM_TYPES[code].example).keys().isdisjoint(taken)


@pytest.mark.parametrize("code", PROBLEM_TYPES)
async def test_a_refusal_or_failure_becomes_its_problem(raising: tuple[Raising, httpx2.AsyncClient], code: str) -> None:
    raised, client = raising
    raised.error = PROBLEM_TYPES[code].example
    answered = await client.get("/")
    problem = problem_of(answered, PROBLEM_TYPES[code].status, code)
    assert ("www-authenticate" in answered.headers) == (answered.status_code == 401)
    assert ("retry_after_seconds" in problem) == (answered.status_code in (429, 503))
    assert answered.headers.get("retry-after", "None") == str(problem.get("retry_after_seconds"))


async def test_facts_stand_beside_the_detail(raising: tuple[Raising, httpx2.AsyncClient]) -> None:
    raised, client = raising
    raised.error = SoldOut(3)
    assert problem_of(await client.get("/"), 409, "sold-out")["available"] == 3
    raised.error = LimitPerBuyer(2, 2, None)
    assert {"limit": 2, "held": 2, "reservation_id": None}.items() <= (await client.get("/")).json().items()
    raised.error = InvalidRequest("starts_at", "must lie in the future")
    assert (await client.get("/")).json()["errors"] == [{"path": "starts_at", "message": "must lie in the future"}]


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("server closed the connection; password=hunter2"),
        psycopg.errors.AdminShutdown("terminating connection"),
        psycopg.InterfaceError("the connection is closed"),
        psycopg.errors.IdleInTransactionSessionTimeout("terminating connection due to idle-in-transaction timeout"),
        pools.NoneAnswers("no connection to the database"),
        errors.SchemaOutdated(),
    ],
)
async def test_a_database_that_does_not_answer_is_a_503(
    raising: tuple[Raising, httpx2.AsyncClient], error: Exception
) -> None:
    raised, client = raising
    raised.error = error
    answered = await client.get("/")
    assert problem_of(answered, 503, "database-away")["retry_after_seconds"] == int(answered.headers["retry-after"])
    assert "hunter2" not in answered.text


async def test_too_many_waiting_for_the_database_is_overload(raising: tuple[Raising, httpx2.AsyncClient]) -> None:
    raised, client = raising
    for error in (psycopg_pool.TooManyRequests("1000 wait"), psycopg_pool.PoolTimeout("couldn't get a connection")):
        raised.error = error
        problem_of(await client.get("/"), 503, "overloaded")


async def test_what_nobody_foresaw_is_a_500_without_a_trace_of_the_program(
    raising: tuple[Raising, httpx2.AsyncClient], capsys: pytest.CaptureFixture[str]
) -> None:
    raised, client = raising
    raised.error = ZeroDivisionError("secret detail")
    answered = await client.get("/")
    problem = problem_of(answered, 500, "internal-error")
    assert not any(word in answered.text for word in ("secret", "Traceback", "ZeroDivision", ".py"))
    logged = capsys.readouterr().out
    assert problem["request_id"] in logged
    assert "ZeroDivisionError" in logged


async def test_an_unknown_address_is_not_found(client: httpx2.AsyncClient) -> None:
    for path in ("/", "/nothing", "/auth", "/auth/me/", "/%00", "/événement"):
        problem_of(await client.get(path), 404, "not-found")


async def test_where_a_method_is_not_allowed_all_that_are_stand_in_the_answer(client: httpx2.AsyncClient) -> None:
    for path, allowed in (
        ("/auth/me", "GET, HEAD, PATCH, DELETE"),
        ("/events", "GET, HEAD, POST"),
        (f"/events/{uuid4()}", "GET, HEAD, PATCH"),
        ("/auth/login", "POST"),
        ("/openapi.json", "GET, HEAD"),
    ):
        answered = await client.put(path)
        problem_of(answered, 405, "method-not-allowed")
        assert answered.headers["allow"] == allowed


async def test_head_is_answered_as_get_without_the_body(client: httpx2.AsyncClient) -> None:
    for path in ("/events", "/health/live", "/problems/sold-out", "/openapi.json", f"/events/{uuid4()}", "/auth/me"):
        got, headed = await client.get(path), await client.head(path)
        assert (headed.status_code, headed.content) == (got.status_code, b"")
        for header in ("content-type", "content-length"):
            assert headed.headers[header] == got.headers[header]
    not_allowed = await client.head("/auth/login")
    assert (not_allowed.status_code, not_allowed.headers["allow"], not_allowed.content) == (405, "POST", b"")


async def test_every_answer_has_a_request_id_of_its_own_that_the_server_made(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ada = await new_account()
    asked = {"X-Request-Id": "my own"}
    answers = [
        await client.get("/health/live", headers=asked),
        await client.get("/nothing", headers=asked),
        await client.get("/auth/me", headers=ada.headers | asked),
        await client.delete("/auth/me", headers=ada.headers | asked),
        await client.get("/openapi.json", headers=asked),
    ]
    ids = [answer.headers.get_list("x-request-id") for answer in answers]
    assert all(len(one) == 1 for one in ids)
    assert len({one[0] for one in ids}) == len(answers)
    assert all(one[0][14] == "7" for one in ids)


async def test_a_query_that_the_route_does_not_know_is_refused(client: httpx2.AsyncClient) -> None:
    for query in ("colour=red", "limit=1&limit=2", "=1", "%00=1", "min_position=2.0", "limit=1_0", "min_position=-1"):
        problem_of(await client.get(f"/events?{query}"), 422, "invalid-request")
    problem = problem_of(await client.get("/health/live?verbose=1"), 422, "invalid-request")
    assert problem["errors"] == [{"path": "verbose", "message": "is no query parameter here"}]
    assert problem["detail"].endswith(" verbose: is no query parameter here.")


async def test_each_problem_type_has_a_page_for_people_and_for_programs(client: httpx2.AsyncClient) -> None:
    listed = (await client.get("/problems")).json()["items"]
    assert [kind["type"] for kind in listed] == [f"/problems/{code}" for code in PROBLEM_TYPES]
    index = await client.get("/problems", headers={"Accept": "text/html"})
    for kind in listed:
        described = (await client.get(kind["type"])).json()
        assert described == kind
        assert described["example"]["type"] == kind["type"]
        page = await client.get(kind["type"], headers={"Accept": "text/html,application/xhtml+xml"})
        assert page.headers["content-type"].startswith("text/html")
        assert kind["title"] in page.text
        assert f'href="{kind["type"]}"' in index.text
    problem_of(await client.get("/problems/nothing"), 404, "not-found")
