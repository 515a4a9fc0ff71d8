"""What a write tells beside its body: where it stands in the history, where to read it, whether it was there before."""

from typing import Any

from fastapi import Response

from eventstore.group import Outcome

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


def tell(outcome: Outcome, response: Response, created_at_path: str | None = None) -> None:
    """Set the headers of a write's answer; `created_at_path` is where the thing it created can be read."""
    response.headers[POSITION] = str(outcome.position)
    if created_at_path is not None:
        response.headers["Location"] = f"{created_at_path}?min_position={outcome.position}"
    if outcome.replayed:
        response.headers[REPLAYED] = "true"
