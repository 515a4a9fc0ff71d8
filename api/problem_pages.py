"""The documentation of every problem type: a page for people, JSON for programs, and schemas for the OpenAPI."""

import typing
from html import escape
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from pydantic import TypeAdapter
from starlette.responses import HTMLResponse, Response

from api.problems import MEDIA_TYPE, PROBLEM_TYPES, document, facts_of, refusals, schema_name
from api.refusals import NotFound

router = APIRouter(prefix="/problems", tags=["problems"])

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font-family: sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.5 }}
pre {{ background: #f4f4f4; padding: 1rem; overflow: auto }}</style></head>
<body>{body}</body>
</html>
"""


@router.get("", summary="All problem types")
async def list_problem_types(request: Request) -> Response:
    """Every kind of answer that is not what was asked for, with its status."""
    if _wants_html(request):
        rows = "".join(
            f'<li>{kind.status} <a href="/problems/{code}">{escape(kind.title)}</a> <code>{code}</code></li>'
            for code, kind in PROBLEM_TYPES.items()
        )
        return HTMLResponse(_PAGE.format(title="Problems", body=f"<h1>Problems</h1><ul>{rows}</ul>"))
    return _json({"items": [_description(code) for code in PROBLEM_TYPES]})


@router.get("/{code}", summary="One problem type", responses=refusals("not-found"))
async def read_problem_type(request: Request, code: str) -> Response:
    """What this problem means, what to do, and an example of its document."""
    if code not in PROBLEM_TYPES:
        raise NotFound
    description = _description(code)
    if not _wants_html(request):
        return _json(description)
    example = msgspec.json.format(msgspec.json.encode(description["example"])).decode()
    body = (
        f"<h1>{escape(description['title'])}</h1>"
        f"<p>Status {description['status']}, type <code>/problems/{code}</code></p>"
        f"<p>{'</p><p>'.join(map(escape, (description['detail'], *description['other_details'])))}</p>"
        f"<h2>Example</h2><pre>{escape(example)}</pre>"
        '<p><a href="/problems">All problems</a></p>'
    )
    return HTMLResponse(_PAGE.format(title=escape(description["title"]), body=body))


def component_schemas() -> dict[str, Any]:
    """JSON Schemas of all problem documents, by the names that `refusals` refers to."""
    schemas: dict[str, Any] = {
        "Problem": {
            "type": "object",
            "title": "Problem",
            "description": "A problem document (RFC 9457).",
            "properties": {
                "type": {"type": "string", "description": "Stable; also the address of its documentation."},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "What to do."},
                "request_id": {"type": ["string", "null"], "format": "uuid"},
            },
            "required": ["type", "title", "status", "detail", "request_id"],
        }
    }
    for code, kind in PROBLEM_TYPES.items():
        facts = _fact_schemas(code)
        schemas[schema_name(code)] = {
            "allOf": [{"$ref": "#/components/schemas/Problem"}],
            "title": kind.title,
            "type": "object",
            "properties": {"type": {"const": f"/problems/{code}"}, "status": {"const": kind.status}} | facts,
            "required": ["type", "status", *facts],
        }
    return schemas


def _description(code: str) -> dict[str, Any]:
    kind = PROBLEM_TYPES[code]
    shown = document(kind.example, None) | {"request_id": "019a0000-0000-7000-8000-000000000001"}
    return {
        "type": f"/problems/{code}",
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


def _json(content: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
