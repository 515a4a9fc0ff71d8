"""What a write tells beside its body: where it stands in the history, where to read it, whether it was there before."""

from typing import Any

from fastapi import Response

from eventstore.writing.group_transaction import Outcome

MEDIA_TYPE = "application/json"
POSITION = "Tixxety-Position"
REPLAYED = "Idempotent-Replayed"

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
    headers = {POSITION: str(outcome.position)}
    if created_at_path is not None:
        headers["Location"] = f"{created_at_path}?min_position={outcome.position}"
    if outcome.replayed:
        headers[REPLAYED] = "true"
    return Response(body, status, headers, MEDIA_TYPE)
