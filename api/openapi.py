"""The OpenAPI document: what the API is, and beside each route's answers every problem that it can give."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problem_pages import component_schemas
from api.problems import add_problem

ABOUT: dict[str, Any] = {
    "title": "Tixxety",
    "version": "1",
    "description": (
        "Reserve tickets, pay within the hold, never oversold.\n\n"
        "Log in at `POST /auth/login` and send the token as `Authorization: Bearer …`. Every error is a problem "
        "document (RFC 9457) whose `type` is the address of its documentation, listed at [/problems](/problems). "
        "Writes answer with `Tixxety-Position`; reading with `min_position` waits until that write shows. "
        "POSTs that write take an `Idempotency-Key`: the same key and body give the same answer and record nothing."
    ),
    "openapi_tags": [
        {"name": "accounts", "description": "Register, log in, look at yourself, leave."},
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

COMMON = ("body-too-large", "invalid-request", "internal-error")


def install(app: FastAPI) -> None:
    """Let `/openapi.json`, `/docs` and `/redoc` show problems instead of FastAPI's own validation errors."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _document_problems(path, operation)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(component_schemas())
    return document


def _document_problems(path: str, operation: dict[str, Any]) -> None:
    """Add what follows from the kind of route: its body, its token, its parameters, its path."""
    responses = operation["responses"]
    body = operation.get("requestBody", {}).get("content", {})
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    parameters = {(p["in"], p["name"]): p for p in operation.get("parameters", ())}
    codes = list(COMMON)
    if body:
        codes.append("request-timeout")
    if "application/json" in body:
        codes.append("malformed-json")
    if (form := "application/x-www-form-urlencoded") in body:
        body["multipart/form-data"] = body[form]
    if "security" in operation:
        codes += ["not-authenticated", "too-many-at-once", "database-away"]
    if path.startswith("/auth/"):
        codes += ["rate-limited", "database-away"]
    if ("query", "min_position") in parameters:
        codes += ["projection-behind", "beyond-the-end", "rebuild-due", "overloaded", "database-away"]
    if any(p["schema"].get("format") == "uuid" for (place, _), p in parameters.items() if place == "path"):
        codes.append("not-found")
    for code in codes:
        add_problem(responses, code)
    for response in responses.values():
        response.setdefault("headers", {})["X-Request-Id"] = REQUEST_ID_HEADER
