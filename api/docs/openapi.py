"""The OpenAPI document: what the API is, and beside each route's answers every problem that it can give."""

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.docs.examples import add_examples
from api.docs.problem_pages import component_schemas
from api.http.json_bodies import FORM
from api.http.problems import MEDIA_TYPE, add_problem
from api.plumbing.authentication import account_if_any, current_account
from api.plumbing.scopes import ANY, NEEDS, NO_KEY

ABOUT: dict[str, Any] = {
    "title": "Tixxety",
    "version": "1",
    "description": (
        "Reserve tickets, pay within the hold, never oversold.\n\n"
        "Log in at `POST /auth/login` and send the token as `Authorization: Bearer …`; programs send an API key in its "
        "place (`POST /auth/api-keys`). Every error is a problem "
        "document (RFC 9457) whose `type` is the address of its documentation, listed at [/problems](/problems). "
        "Writes answer with `Tixxety-Position`; reading with `min_position` waits until that write shows. "
        "POSTs that write take an `Idempotency-Key`: the same key and body give the same answer and record nothing."
    ),
    "openapi_tags": [
        {"name": "accounts", "description": "Register, log in and out, change the account, make keys for programs."},
        {"name": "events", "description": "What people attend: the catalogue, and the organiser's work."},
        {"name": "reservations", "description": "Reserve tickets, then pay or cancel before the hold ends."},
        {
            "name": "audit",
            "description": "For auditors: the history, past moments, stories, seals. Every read is kept.",
        },
        {"name": "analytics", "description": "How an event sells: for its organiser and for analysts."},
        {"name": "health", "description": "For operators and orchestrators."},
        {"name": "problems", "description": "What each problem type means."},
    ],
}
REQUEST_ID_HEADER = {"description": "The id of this request.", "schema": {"type": "string", "format": "uuid"}}
WWW_AUTHENTICATE_HEADER = {"description": "How to log in.", "schema": {"type": "string"}}
RETRY_AFTER_HEADER = {"description": "Seconds until it may go better.", "schema": {"type": "integer"}}

KEY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key (`POST /auth/api-keys`) that has the scope which an operation names.",
}

COMMON = ("body-too-large", "invalid-request", "internal-error")


def operation_id(route: APIRoute) -> str:
    """The route's own name, which says what it does and stays, as generators of clients expect it: `listEvents`."""
    first, *others = route.name.split("_")
    return first + "".join(word.capitalize() for word in others)


def install(app: FastAPI, routers: Iterable[APIRouter], root_path: str = "") -> None:
    """Let `/openapi.json` show problems instead of FastAPI's own validation errors; `root_path` is a proxy's prefix."""
    open_to_all = {name for router in routers for name in _open_to_all(router)}

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, open_to_all, root_path)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, open_to_all: set[str], root_path: str) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description.replace("(/problems)", f"({root_path}/problems)"),
        tags=app.openapi_tags,
        routes=app.routes,
    )
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _document_scope(method.upper(), path, operation)
            _document_problems(path, operation)
            _document_headers(operation)
            _describe_body(operation)
            if operation["operationId"] in open_to_all:
                # An own login is of use here (one's own writes show at once) and not needed.
                operation["security"].insert(0, {})
            _name_form(operation, document["components"]["schemas"])
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(component_schemas(root_path))
    schemes = document["components"]["securitySchemes"]
    schemes["login"]["flows"]["password"]["tokenUrl"] = f"{root_path}/auth/login"
    schemes["key"] = KEY_SCHEME
    add_examples(document, root_path)
    return document


def _open_to_all(router: APIRouter) -> Iterator[str]:
    """The operations that look at a token if there is one, and need none."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            called = _calls(route.dependant)
            if account_if_any in called and current_account not in called:
                yield operation_id(route)


def _calls(dependant: Dependant) -> set[Any]:
    return {dependant.call}.union(*map(_calls, dependant.dependencies))


def _document_scope(method: str, path: str, operation: dict[str, Any]) -> None:
    """Say what a key needs for it."""
    need = NEEDS.get((method, path), NO_KEY)
    if "security" not in operation or need.scope == ANY:
        return
    add_problem(operation["responses"], "not-for-keys" if need.scope is None else "scope-missing")
    said = "No API key may do this." if need.scope is None else f"An API key needs the scope `{need.scope}`."
    operation["description"] = f"{operation.get('description', '')}\n\n{said}".strip()
    if need.scope is not None:
        operation["security"].append({"key": [need.scope]})


def _document_problems(path: str, operation: dict[str, Any]) -> None:
    """Add what follows from the kind of route: its body, its token, its parameters, its path."""
    responses = operation["responses"]
    body = operation.get("requestBody", {}).get("content", {})
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    parameters = {(p["in"], p["name"]): p for p in operation.get("parameters", ())}
    codes = list(COMMON)
    if body:
        codes += ["request-timeout", "unsupported-media-type"]
    if "application/json" in body:
        codes.append("malformed-json")
    if "security" in operation:
        codes += ["not-authenticated", "rate-limited", "too-many-at-once", "database-away"]
    if path.startswith("/auth/"):
        codes += ["rate-limited", "database-away"]
    if "503" in responses and "overloaded" in str(responses["503"]):
        codes += ["disk-full", "read-only"]
        if not path.startswith("/auth/"):
            codes.append("event-busy")
    if ("query", "min_position") in parameters:
        codes += ["projection-behind", "beyond-the-end", "rebuild-due", "overloaded", "database-away"]
    if any(p["schema"].get("format") == "uuid" for (place, _), p in parameters.items() if place == "path"):
        codes.append("not-found")
    for code in codes:
        add_problem(responses, code)


def _document_headers(operation: dict[str, Any]) -> None:
    """Add what every answer has, and what answers of a status have."""
    for status, response in operation["responses"].items():
        headers = response.setdefault("headers", {})
        headers["X-Request-Id"] = REQUEST_ID_HEADER
        if status == "401":
            headers["WWW-Authenticate"] = WWW_AUTHENTICATE_HEADER
        problems = response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}).values()
        if any("retry_after_seconds" in problem["value"] for problem in problems):
            headers["Retry-After"] = RETRY_AFTER_HEADER


def _describe_body(operation: dict[str, Any]) -> None:
    """A body that may be left out is no null: generators of clients make of "X or null" what can't be called."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        choices = [one for one in content["schema"].get("anyOf", ()) if one != {"type": "null"}]
        if len(choices) == 1:
            content["schema"] = choices[0]


def _name_form(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A form is called after its operation; FastAPI's own name for it (`Body_logIn`) would be a class in clients."""
    form = operation.get("requestBody", {}).get("content", {}).get(FORM)
    if form is not None:
        name = f"{operation['operationId'][0].upper()}{operation['operationId'][1:]}Form"
        schemas[name] = schemas.pop(form["schema"]["$ref"].rpartition("/")[2]) | {"title": name}
        form["schema"] = {"$ref": f"#/components/schemas/{name}"}
