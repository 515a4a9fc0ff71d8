"""The only place where a refusal or a failure becomes HTTP: one problem document (RFC 9457) for each code."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from psycopg.errors import ReadOnlySqlTransaction, UndefinedColumn, UndefinedTable
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from accounts import errors as accounts
from api.http import errors as http
from api.http.failure_log import FailureLog
from api.http.inputs import unusable
from auditing.replay import errors as auditing
from domain import errors as domain
from eventstore import errors as failures
from eventstore.postgres.connections import CONNECTION_LOST

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS_SHOWN = 50
LONGEST_PATH_SHOWN = 200
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

AnyNo = domain.Refusal | failures.Failure

_SOME_ID = UUID("019a0000-0000-7000-8000-000000000001")
_SOME_REQUEST = UUID("019a0000-0000-7000-8000-000000000006")
_SOME_INSTANT = datetime(2030, 5, 1, 19, 30, tzinfo=UTC)
_SOME_EARLIER_INSTANT = datetime(2030, 5, 1, 19, 29, tzinfo=UTC)


class ProblemType(NamedTuple):
    """A kind of "no" as HTTP shows it; the example stands for all of its kind in the documentation.

    `others` have the same code and another sentence that a reader of the documentation should know.
    """

    status: int
    title: str
    example: AnyNo
    others: tuple[AnyNo, ...] = ()


PROBLEM_TYPES: dict[str, ProblemType] = {
    "malformed-request": ProblemType(400, "Not HTTP", http.MalformedRequest()),
    "malformed-json": ProblemType(400, "The body is not JSON", http.MalformedJson()),
    "not-authenticated": ProblemType(401, "Not logged in", accounts.NotAuthenticated()),
    "invalid-credentials": ProblemType(401, "Wrong e-mail or password", accounts.InvalidCredentials()),
    "invalid-refresh-token": ProblemType(401, "Refresh token not good", accounts.InvalidRefreshToken()),
    "invalid-reset-token": ProblemType(401, "Reset token not good", accounts.InvalidResetToken()),
    "wrong-password": ProblemType(403, "Wrong password", accounts.WrongPassword()),
    "forbidden": ProblemType(403, "Not allowed", domain.NotTheOrganiser(), (http.AuditorsOnly(),)),
    "scope-missing": ProblemType(403, "Scope missing", accounts.ScopeMissing("organise")),
    "not-for-keys": ProblemType(403, "Not for keys", accounts.NotForKeys()),
    "not-found": ProblemType(404, "Not found", http.NotFound()),
    "event-not-found": ProblemType(404, "No such event", domain.EventNotFound()),
    "event-not-created-yet": ProblemType(404, "Event not created yet", auditing.NotCreatedYet(_SOME_INSTANT, 1042)),
    "ticket-type-not-found": ProblemType(404, "No such ticket type", domain.TicketTypeNotFound()),
    "method-not-allowed": ProblemType(405, "Method not allowed", http.MethodNotAllowed()),
    "request-timeout": ProblemType(408, "Request too slow", http.RequestTimeout(30)),
    "email-taken": ProblemType(409, "E-mail taken", accounts.EmailTaken()),
    "too-many-keys": ProblemType(409, "Too many keys", accounts.TooManyKeys(50)),
    "event-exists": ProblemType(409, "Event exists", domain.EventExists(_SOME_ID)),
    "event-cancelled": ProblemType(409, "Event cancelled", domain.EventIsCancelled()),
    "event-ended": ProblemType(409, "Event ended", domain.EventEnded()),
    "sales-not-open": ProblemType(409, "Sales not open", domain.SalesNotOpen(_SOME_INSTANT)),
    "sales-closed": ProblemType(409, "Sales closed", domain.SalesClosed()),
    "limit-per-buyer": ProblemType(409, "Limit per buyer reached", domain.LimitPerBuyer(1, 1, _SOME_ID)),
    "sold-out": ProblemType(409, "Sold out", domain.SoldOut(0, _SOME_INSTANT), (domain.SoldOut(0),)),
    "hold-expired": ProblemType(409, "Hold expired", domain.HoldExpired(_SOME_INSTANT)),
    "extension-not-offered": ProblemType(409, "No extension offered", domain.ExtensionNotOffered(_SOME_INSTANT)),
    "not-extendable": ProblemType(409, "Not extendable", domain.NotExtendable("paid")),
    "more-than-reserved": ProblemType(409, "More than reserved", domain.MoreThanReserved(2)),
    "too-many-parts": ProblemType(409, "Too many parts", domain.TooManyParts(15)),
    "not-payable": ProblemType(409, "Not payable", domain.NotPayable("cancelled")),
    "changed-meanwhile": ProblemType(412, "Changed meanwhile", domain.ChangedMeanwhile(13)),
    "capacity-below-taken": ProblemType(409, "Capacity below taken", domain.CapacityBelowTaken(_SOME_ID, 120)),
    "too-few-to-withhold": ProblemType(
        409,
        "Too few to withhold",
        domain.TooFewToWithhold(_SOME_ID, 3, _SOME_INSTANT),
        (domain.TooFewToWithhold(_SOME_ID, 3),),
    ),
    "too-few-withheld": ProblemType(409, "Too few withheld", domain.TooFewWithheld(_SOME_ID, 3)),
    "body-too-large": ProblemType(413, "Body too large", http.BodyTooLarge(256 * 1024)),
    "unsupported-media-type": ProblemType(
        415,
        "Unsupported kind of body",
        http.UnsupportedMediaType("application/json"),
        (http.UnsupportedContentCoding(),),
    ),
    "invalid-request": ProblemType(422, "Invalid request", domain.InvalidRequest("quantity", "must be at least 1")),
    "in-the-future": ProblemType(422, "In the future", auditing.InTheFuture(_SOME_INSTANT, _SOME_EARLIER_INSTANT)),
    "beyond-the-end": ProblemType(422, "Beyond the end", auditing.BeyondTheEnd(1042)),
    "ticket-type-required": ProblemType(422, "Ticket type required", domain.TicketTypeRequired()),
    "idempotency-key-reused": ProblemType(422, "Idempotency key reused", domain.IdempotencyKeyReused()),
    "rate-limited": ProblemType(429, "Too many requests", http.RateLimited(30), (http.RecordedTooMuch(30),)),
    "too-many-at-once": ProblemType(429, "Too many at once", http.TooManyAtOnce(62)),
    "too-many-connections": ProblemType(429, "Too many connections", http.TooManyConnections()),
    "headers-too-large": ProblemType(431, "Headers too large", http.HeadersTooLarge()),
    "internal-error": ProblemType(500, "Something broke", http.InternalError()),
    "overloaded": ProblemType(
        503, "Overloaded", failures.Overloaded(), (http.SearchesOverloaded(), http.NoConnectionLeft())
    ),
    "search-too-slow": ProblemType(503, "Search too slow", http.SearchTooSlow(2)),
    "event-busy": ProblemType(503, "Event busy", failures.EventBusy()),
    "disk-full": ProblemType(503, "Disk full", failures.DiskFull()),
    "read-only": ProblemType(503, "Read-only", failures.ReadOnly()),
    "database-away": ProblemType(503, "Database away", failures.DatabaseAway()),
    "rebuild-due": ProblemType(503, "Rebuild due", http.RebuildDue()),
    "projection-behind": ProblemType(503, "Projections behind", http.ProjectionBehind(1042, 1040)),
}


def facts_of(no: AnyNo) -> dict[str, Any]:
    """What a program needs next, by name; `invalid-request` has `errors` of `path` and `message`."""
    if isinstance(no, domain.InvalidRequest):
        return {"errors": [{"path": no.field, "message": no.problem}]}
    return no.facts


def document(no: AnyNo, request_id: UUID | None, root_path: str = "") -> dict[str, Any]:
    """The problem document: `type` below the root path, `title`, `status`, `detail`, `request_id`, and the facts."""
    return _document(no.code, str(no), facts_of(no), request_id, root_path)


def problem_response(no: AnyNo, scope: Scope, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that was refused or failed."""
    return _response(document(no, _request_id(scope), _root_path(scope)), headers)


def no_of(error: BaseException) -> AnyNo | None:
    """What a client is told of an exception; None of one that nobody has foreseen."""
    match error:
        case domain.Refusal() | failures.Failure():
            return error
        case UndefinedTable() | UndefinedColumn():
            return http.RebuildDue()
        case ReadOnlySqlTransaction():
            return failures.failure_of(error)
    return failures.failure_of(error) if isinstance(error, CONNECTION_LOST) else None


def install(app: FastAPI) -> None:
    """Make every refusal, failure and unusable request of this app a problem document."""
    app.state.failure_log = FailureLog()
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _http)


def _document(code: str, detail: str, facts: dict[str, Any], request_id: UUID | None, root_path: str) -> dict[str, Any]:
    kind = PROBLEM_TYPES[code]
    head = {"type": f"{root_path}/problems/{code}", "title": kind.title, "status": kind.status, "detail": detail}
    return facts | head | {"request_id": request_id}


def _response(content: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    status = content["status"]
    sent = dict(headers or {})
    if status == 401:
        sent["WWW-Authenticate"] = "Bearer"
    if status == 415:
        sent["Accept-Encoding"] = "identity"
    if status == 408:
        sent["Connection"] = "close"
    if "retry_after_seconds" in content:
        sent["Retry-After"] = str(content["retry_after_seconds"])
    return Response(msgspec.json.encode(content), status, sent, MEDIA_TYPE)


def _request_id(scope: Scope) -> UUID | None:
    request_id: UUID | None = scope.get("state", {}).get("request_id")
    return request_id


def _root_path(scope: Scope) -> str:
    root_path: str = scope.get("root_path", "")
    return root_path


async def _http(request: Request, error: Exception) -> Response:
    """Routing's own refusals, and a body that could not be parsed at all (too deep, not UTF-8, a broken form)."""
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == 404:
        return problem_response(http.NotFound(), request.scope)
    if error.status_code == 405:
        return _method_not_allowed(request)
    if error.status_code == 400 and "json" in request.headers.get("content-type", ""):
        return problem_response(http.MalformedJson(), request.scope)
    if error.status_code == 400:
        return await _not_understood(request, unusable("body", None, "can't be read as this kind of form"))
    raise error


def _method_not_allowed(request: Request) -> Response:
    return problem_response(http.MethodNotAllowed(), request.scope, {"Allow": ", ".join(_allowed(request))})


def _allowed(request: Request) -> list[str]:
    """The methods of all routes of this path: routing itself names those of the first.

    Where a route has just this path, those with a parameter in its place don't count: `for-you` is no id.
    """
    exactly = {method: not parameters for method, parameters in _taken(request)}
    return [method for method, is_exact in exactly.items() if is_exact or not any(exactly.values())]


def _taken(request: Request) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The methods that some route takes of this path, each with the parameters that the route finds in it."""
    included = [route for router in request.app.state.routers for route in router.routes]
    own = [route for route in request.app.routes if isinstance(route, Route)]
    for method in METHODS:
        scope = {**request.scope, "method": "GET" if method == "HEAD" else method, "path_params": {}}
        for route in (*included, *own):
            match, found = route.matches(scope)
            if match is Match.FULL:
                yield method, found["path_params"]
                break


async def _not_understood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found: Sequence[Any] = error.errors()
    if request.method not in _allowed(request):
        # The route that takes it has a parameter where another's path is just this one.
        return _method_not_allowed(request)
    if any(e["type"] == "json_invalid" for e in found):
        return problem_response(http.MalformedJson(), request.scope)
    if any(e["loc"][0] == "path" for e in found):
        return problem_response(http.NotFound(), request.scope)
    errors = [{"path": _path(e["loc"]), "message": _message(e)} for e in found[:MOST_ERRORS_SHOWN]]
    detail = f"Correct what errors names and send it again. {errors[0]['path']}: {errors[0]['message']}."
    scope = request.scope
    return _response(_document("invalid-request", detail, {"errors": errors}, _request_id(scope), _root_path(scope)))


def _path(location: Sequence[str | int]) -> str:
    """Where in the request: `ticket_types.0.name`. Names of unknown fields are the client's and may be anything."""
    path = ".".join(str(part) for part in location[1:]) or str(location[0])
    return path.encode("utf-8", "replace").decode()[:LONGEST_PATH_SHOWN]


def _message(error: dict[str, Any]) -> str:
    if error["loc"] == ("body",) and error["type"] in ("model_attributes_type", "model_type"):
        return "must be a JSON object"
    message = str(error["msg"]).removeprefix("Value error, ").removesuffix(".")
    return message.encode("utf-8", "replace").decode()


def refusals(*nos: str | type[AnyNo]) -> dict[int | str, dict[str, Any]]:
    """What a route can answer instead, by status, for its `responses=`: codes or classes, under problem+json.

    What all routes of a kind share (bodies, tokens, `min_position`, the database) is added to the OpenAPI by itself.
    """
    responses: dict[int | str, dict[str, Any]] = {}
    for no in nos:
        add_problem(responses, no if isinstance(no, str) else no.code)
    return responses


# What any command may be told instead of its answer.
COMMAND_FAILURES: tuple[type[AnyNo], ...] = (
    http.TooManyAtOnce,
    http.RecordedTooMuch,
    failures.Overloaded,
    failures.EventBusy,
    failures.DiskFull,
    failures.ReadOnly,
)


def add_problem(responses: dict[Any, dict[str, Any]], code: str) -> None:
    """Document one more problem type among an operation's responses; nothing changes if it is there already."""
    kind = PROBLEM_TYPES[code]
    response = responses.setdefault(str(kind.status), {"description": "", "content": {}})
    content = response["content"].setdefault(MEDIA_TYPE, {"schema": {"oneOf": []}, "examples": {}})
    if code in content["examples"]:
        return
    content["schema"]["oneOf"].append({"$ref": f"#/components/schemas/{schema_name(code)}"})
    content["examples"][code] = {"summary": kind.title, "value": example_problem(code)}
    response["description"] = " · ".join(example["summary"] for example in content["examples"].values())


def example_problem(code: str, root_path: str = "") -> dict[str, Any]:
    """The document of this type that the documentation shows."""
    example: dict[str, Any] = msgspec.to_builtins(document(PROBLEM_TYPES[code].example, _SOME_REQUEST, root_path))
    return example


def schema_name(code: str) -> str:
    """`sold-out` is `SoldOutProblem` among the OpenAPI's schemas."""
    return "".join(word.capitalize() for word in code.split("-")) + "Problem"
