"""The documentation of every problem type: a page for people, JSON for programs, and schemas for the OpenAPI."""

import typing
from html import escape
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.responses import HTMLResponse, Response

from api.docs.browser_pages import source_hash
from api.http.errors import NotFound
from api.http.problems import MEDIA_TYPE, PROBLEM_TYPES, example_problem, facts_of, refusals, schema_name

router = APIRouter(prefix="/problems", tags=["problems"])

VARY_DOCUMENTED: dict[str, Any] = {
    "Vary": {"description": "`Accept`: HTML for browsers, else JSON.", "schema": {"type": "string"}}
}

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>{style}</style></head>
<body>{body}</body>
</html>
"""
_STYLE = """body { font-family: sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.5 }
pre { background: #f4f4f4; padding: 1rem; overflow: auto }"""
_POLICY = (
    f"default-src 'none'; style-src {source_hash(_STYLE)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_AS_PAGE: dict[str, Any] = {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html> …"}}
_COMMON_FIELDS: dict[str, Any] = {
    "type": {"type": "string", "description": "Stable; also the address of its documentation."},
    "title": {"type": "string"},
    "status": {"type": "integer"},
    "detail": {"type": "string", "description": "What to do."},
    "request_id": {"type": ["string", "null"], "format": "uuid"},
}


class ProblemTypeAnswer(BaseModel):
    """One kind of answer that is not what was asked for; `other_details` are said instead of `detail` in some cases."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.update(examples=[_description("sold-out")]))

    type: str
    title: str
    status: int
    detail: str
    other_details: list[str]
    media_type: str
    example: dict[str, Any]


class ProblemTypesAnswer(BaseModel):
    """All problem types."""

    items: list[ProblemTypeAnswer]


@router.get(
    "",
    summary="All problem types",
    response_model=ProblemTypesAnswer,
    responses={200: {"content": _AS_PAGE, "headers": VARY_DOCUMENTED}},
)
async def list_problem_types(request: Request) -> Response:
    """Every kind of answer that is not what was asked for, with its status."""
    if _wants_html(request):
        place = f"{_root_path(request)}/problems"
        rows = "".join(
            f'<li>{kind.status} <a href="{place}/{code}">{escape(kind.title)}</a> <code>{code}</code></li>'
            for code, kind in PROBLEM_TYPES.items()
        )
        return _page("Problems", f"<h1>Problems</h1><ul>{rows}</ul>")
    return _json({"items": [_description(code, _root_path(request)) for code in PROBLEM_TYPES]})


@router.get(
    "/{code}",
    summary="One problem type",
    response_model=ProblemTypeAnswer,
    responses={200: {"content": _AS_PAGE, "headers": VARY_DOCUMENTED}, **refusals("not-found")},
)
async def read_problem_type(request: Request, code: str) -> Response:
    """What this problem means, what to do, and an example of its document."""
    if code not in PROBLEM_TYPES:
        raise NotFound
    description = _description(code, _root_path(request))
    if not _wants_html(request):
        return _json(description)
    example = msgspec.json.format(msgspec.json.encode(description["example"])).decode()
    body = (
        f"<h1>{escape(description['title'])}</h1>"
        f"<p>Status {description['status']}, type <code>{description['type']}</code></p>"
        f"<p>{'</p><p>'.join(map(escape, (description['detail'], *description['other_details'])))}</p>"
        f"<h2>Example</h2><pre>{escape(example)}</pre>"
        f'<p><a href="{_root_path(request)}/problems">All problems</a></p>'
    )
    return _page(escape(description["title"]), body)


def component_schemas(root_path: str = "") -> dict[str, Any]:
    """JSON Schemas of all problem documents, by the names that `refusals` refers to.

    Each says all of its fields itself: of one that adds to another (`allOf`) generators of clients make that other.
    """
    schemas = {"Problem": _problem_schema("Problem", "A problem document (RFC 9457).", _COMMON_FIELDS)}
    for code, kind in PROBLEM_TYPES.items():
        own = {
            "type": {"type": "string", "const": f"{root_path}/problems/{code}"},
            "status": {"type": "integer", "const": kind.status},
        }
        name = schema_name(code)
        schemas[name] = _problem_schema(name, f"{kind.title}.", _COMMON_FIELDS | own | _fact_schemas(code))
    return schemas


def _problem_schema(name: str, description: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "title": name,
        "description": description,
        "properties": fields,
        "required": list(fields),
    }


def _description(code: str, root_path: str = "") -> dict[str, Any]:
    kind, shown = PROBLEM_TYPES[code], example_problem(code, root_path)
    return {
        "type": shown["type"],
        "title": kind.title,
        "status": kind.status,
        "detail": shown["detail"],
        "other_details": [str(no) for no in kind.others],
        "media_type": MEDIA_TYPE,
        "example": shown,
    }


def _fact_schemas(code: str) -> dict[str, Any]:
    example = PROBLEM_TYPES[code].example
    if code == "invalid-request":
        text = {"type": "string"}
        item = {"type": "object", "properties": {"path": text, "message": text}, "required": ["path", "message"]}
        return {"errors": {"type": "array", "items": item}}
    annotations = typing.get_type_hints(type(example).__init__)
    return {name: TypeAdapter(annotations.get(name, int)).json_schema() for name in facts_of(example)}


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _root_path(request: Request) -> str:
    """The prefix that a proxy takes off; the operator's, and no markup."""
    return escape(request.scope["root_path"])


def _json(content: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(content), headers={"Vary": "Accept"}, media_type="application/json")


def _page(title: str, body: str) -> Response:
    headers = {"Vary": "Accept", "Content-Security-Policy": _POLICY}
    return HTMLResponse(_PAGE.format(title=title, style=_STYLE, body=body), headers=headers)
