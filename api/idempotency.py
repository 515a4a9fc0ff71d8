"""What an `Idempotency-Key` becomes: two hashes to record, and the id of what the request creates."""

import hashlib
import json
from typing import Annotated, Any
from uuid import UUID

import uuid_utils.compat
from fastapi import Header
from pydantic import BaseModel

from domain.aggregate import Idempotency

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[!-~]{1,255}$",
        description="1 to 255 visible ASCII characters. The same key and body give the same answer and record nothing.",
    ),
]


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
        return new_id()
    number = int.from_bytes(bytes.fromhex(idempotency.key_sha256)[:16])
    number = number & ~(0xF << 76) | 8 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)


def new_id() -> UUID:
    """A new UUIDv7: unique, and rising with the process's clock."""
    return uuid_utils.compat.uuid7()


def _sha256(values: list[Any]) -> str:
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
