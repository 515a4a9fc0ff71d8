"""Pages of other origins: whose may call the API from a browser, and which of our headers they may read (CORS)."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from api.http.idempotency_keys import HEADER as IDEMPOTENCY_KEY
from api.http.write_responses import POSITION, REPLAYED

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SENT = ("Authorization", "Content-Type", "If-None-Match", "If-Match", IDEMPOTENCY_KEY)
EXPOSED = (POSITION, REPLAYED, "Location", "Retry-After", "X-Request-Id", "ETag", "Link")
# Browsers keep what they were told for so long; Chromium for two hours at most.
KEPT_SECONDS = 7_200


def for_origins(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """The application for pages of these origins too; the very same where there are none.

    Tokens are sent as a header by the page itself, never as cookies by the browser: no credentials are allowed.
    """
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=SENT,
        expose_headers=EXPOSED,
        max_age=KEPT_SECONDS,
    )
