"""The documentation for people: Swagger UI at /docs and ReDoc at /redoc, with nothing loaded from elsewhere."""

import hashlib
from base64 import b64encode
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

# Addresses are relative to the page, so that they keep a prefix that a proxy has put before it.
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Tixxety</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="docs/assets/swagger-ui.css"></head>
<body><div id="page"></div><script src="docs/assets/{bundle}"></script><script>{script}</script></body>
</html>
"""
_SWAGGER_UI = "SwaggerUIBundle({url: 'openapi.json', dom_id: '#page', deepLinking: true, validatorUrl: null})"
_REDOC = "Redoc.init('openapi.json', {}, document.getElementById('page'))"
_POLICY = (
    "default-src 'none'; script-src 'self' {script}; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; style-src 'self'"
)
# ReDoc writes its styles into the page, and searches in a worker that it makes of its own text.
_REDOC_MORE = " 'unsafe-inline'; worker-src blob:"

ASSETS = StaticFiles(directory=Path(__file__).parent / "assets")

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def read_swagger_ui() -> Response:
    """The API to look at and to try."""
    return _page("swagger-ui-bundle.js", _SWAGGER_UI)


@router.get("/redoc")
async def read_redoc() -> Response:
    """The API to read from top to bottom."""
    return _page("redoc.standalone.js", _REDOC, _REDOC_MORE)


@router.get("/docs/assets/{name}")
async def read_asset(name: str, request: Request) -> Response:
    """A file that the pages need, or the licence that it has."""
    return await ASSETS.get_response(name, request.scope)


def source_hash(text: str) -> str:
    """How a Content-Security-Policy names the one inline script or style that it lets through."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _page(bundle: str, script: str, more: str = "") -> Response:
    policy = _POLICY.format(script=source_hash(script)) + more
    return HTMLResponse(_PAGE.format(bundle=bundle, script=script), headers={"Content-Security-Policy": policy})
