"""What an `Idempotency-Key` becomes: two hashes to record, and the id of what the request creates."""

import hashlib
import json
from typing import Annotated, Any
from uuid import UUID

import uuid_utils.compat
from fastapi import Depends, Header, Request
from pydantic import BaseModel

from api.http.inputs import unusable
from domain.domain_event import Idempotency

HEADER = "Idempotency-Key"
KEY_PATTERN = "^[!-~]{1,255}$"

_FirstKey = Annotated[
    str | None,
    Header(
        alias=HEADER,
        pattern=KEY_PATTERN,
        description="1 to 255 visible ASCII characters. The same key and body give the same answer and record nothing.",
    ),
]


async def _only_key(request: Request, key: _FirstKey = None) -> str | None:
    if len(request.headers.getlist(HEADER)) > 1:
        raise unusable("header", HEADER, "was given twice")
    return key


IdempotencyKey = Annotated[str | None, Depends(_only_key)]


def idempotency_of(
    key: str | None, account_id: UUID, route: str, path_ids: tuple[UUID, ...] = (), body: BaseModel | None = None
) -> Idempotency | None:
    """What is recorded of a request's key; None without one.

    The key counts per account, `route` (method and path template) and path ids. The fingerprint covers the parsed
    body with its defaults, so that spelling, order and offsets do not matter. Costs two hashes of the body's length.
    """
    if key is None:
        return None
    place = [route, [str(path_id) for path_id in path_ids]]
    parsed = body.model_dump(mode="json") if body is not None else None
    return Idempotency(key_sha256=_sha256([str(account_id), *place, key]), request_sha256=_sha256([*place, parsed]))


def id_to_create(idempotency: Idempotency | None) -> UUID:
    """The id of what a request creates: always the same for the same key (UUIDv8), a new UUIDv7 without one."""
    if idempotency is None:
        return uuid_utils.compat.uuid7()
    number = int.from_bytes(bytes.fromhex(idempotency.key_sha256)[:16])
    number = number & ~(0xF << 76) | 8 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)


def _sha256(values: list[Any]) -> str:
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
