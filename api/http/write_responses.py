"""What a write tells beside its body: where it stands in the history, where to read it, whether it was there before."""

from typing import Any

from fastapi import Response

from api.http.ready_json import ReadyJson, json_headers
from eventstore.writing.group_transaction import Outcome

POSITION = "Tixxety-Position"
REPLAYED = "Idempotent-Replayed"
POSITION_HEADER, REPLAYED_HEADER = POSITION.lower().encode(), REPLAYED.lower().encode()

POSITION_DOCUMENTED: dict[str, Any] = {
    POSITION: {
        "description": "The position in the history that includes this write: `min_position` for reading it.",
        "schema": {"type": "integer"},
    }
}
REPLAYED_DOCUMENTED: dict[str, Any] = {
    REPLAYED: {
        "description": "`true` when an earlier request with the same key recorded this; else the header is missing.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
LOCATION_DOCUMENTED: dict[str, Any] = {
    "Location": {
        "description": "Where to read what was created, with the `min_position` that includes it.",
        "schema": {"type": "string", "format": "uri-reference"},
    }
}


def written(outcome: Outcome, body: bytes, status: int = 200, created_at_path: str | None = None) -> Response:
    """The answer to a write, from ready JSON; `created_at_path` is where the thing it created can be read."""
    headers = json_headers(body, (POSITION_HEADER, b"%d" % outcome.position))
    if created_at_path is not None:
        headers.append((b"location", f"{created_at_path}?min_position={outcome.position}".encode("latin-1")))
    if outcome.replayed:
        headers.append((REPLAYED_HEADER, b"true"))
    return ReadyJson(body, headers, status)
