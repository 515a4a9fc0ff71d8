"""The Ed25519 keys that seals are signed with: made at migration, rotated by an operator, published for ever."""

import hashlib
from base64 import urlsafe_b64encode
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from eventstore.box_office import SEAL_KEYS_KEY
from eventstore.postgres.connections import Connection

# Shared by those who seal: once the keys are rotated, no seal is signed with the old one any more.
LOCK = "SELECT pg_advisory_xact_lock(%(lock_class)s, %(lock_key)s)"
LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared(%(lock_class)s, %(lock_key)s)"
IN_USE = "SELECT key_id, private_key FROM seal_keys WHERE retired_at IS NULL"
ALL = "SELECT key_id, public_key, created_at, retired_at FROM seal_keys ORDER BY created_at, key_id"
RETIRE = "UPDATE seal_keys SET private_key = NULL, retired_at = clock_timestamp() WHERE retired_at IS NULL"
# Of two that make the first key at once, one has made it.
ADD = """
INSERT INTO seal_keys (key_id, public_key, private_key) VALUES (%(key_id)s, %(public_key)s, %(private_key)s)
ON CONFLICT DO NOTHING
"""

Jwk = dict[str, Any]


class SigningKey(NamedTuple):
    """The key in use; `key_id` is the thumbprint that its seals carry as `kid`."""

    key_id: str
    private_key: Ed25519PrivateKey


def thumbprint(public_key: Jwk) -> str:
    """The SHA-256 thumbprint of an Ed25519 JWK (RFC 7638), in base64url."""
    required = {name: public_key.get(name) for name in ("crv", "kty", "x")}
    return urlsafe_b64encode(hashlib.sha256(msgspec.json.encode(required)).digest()).rstrip(b"=").decode()


async def ensure(connection: Connection) -> None:
    """Make the first key, where there is none in use."""
    if await (await connection.execute(IN_USE)).fetchone() is None:
        await connection.execute(ADD, _made())


async def rotate(connection: Connection) -> str:
    """Put a new key in use and destroy the private half of the old one; returns the new key's id.

    A seal that is being made at this moment is signed before; every later one is signed with the new key.
    """
    made = _made()
    async with connection.transaction():
        await connection.execute(LOCK, connection.box_office.lock(SEAL_KEYS_KEY))
        await connection.execute(RETIRE)
        await connection.execute(ADD, made)
    return made["key_id"]


async def in_use(connection: Connection) -> SigningKey:
    """The key to sign with, in use until the end of the transaction.

    Raises LookupError where `tixxety migrate` never made one.
    """
    await connection.execute(LOCK_SHARED, connection.box_office.lock(SEAL_KEYS_KEY))
    row = await (await connection.execute(IN_USE)).fetchone()
    if row is None:
        raise LookupError("there is no key to seal with: run tixxety migrate")
    private_key = OKPAlgorithm.from_jwk(row[1])
    assert isinstance(private_key, Ed25519PrivateKey)  # noqa: S101 - only such keys are made
    return SigningKey(row[0], private_key)


async def published(connection: Connection) -> list[Jwk]:
    """The public halves of all keys there ever were, oldest first, each with its `kid`."""
    return [
        {**msgspec.json.decode(public_key), "kid": key_id, "use": "sig", "alg": "EdDSA"}
        for key_id, public_key, _, _ in await (await connection.execute(ALL)).fetchall()
    ]


def _made() -> dict[str, str]:
    key = Ed25519PrivateKey.generate()
    public_key = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {
        "key_id": thumbprint(public_key),
        "public_key": msgspec.json.encode({name: public_key[name] for name in ("crv", "kty", "x")}).decode(),
        "private_key": OKPAlgorithm.to_jwk(key),
    }
