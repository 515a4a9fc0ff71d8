"""Seals: a signed Merkle root over each range of the history, bound to the seal before it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, NamedTuple

import jwt
import msgspec
from psycopg.rows import args_row

from eventstore import reading
from eventstore.errors import Failure
from eventstore.postgres.connections import Connection
from eventstore.seals import seal_keys
from eventstore.seals.merkle import leaf_hash, root_hash
from eventstore.seals.seal_keys import Jwk, SigningKey

# As PostgreSQL and the hash of a domain event have them.
Count = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]

ALGORITHM = "EdDSA"
TYPE = "tixxety-seal"
# What one seal covers at most, so that whoever makes or checks it needs memory for so many hashes only.
RANGE_POSITIONS = 16_384
# Read and hashed at a time, with a pause behind it, so that what shares the event loop is never held up for long.
PAGE_POSITIONS = 1_024
PAUSE_SECONDS = 0.02
FINGERPRINT_BYTES = 4
NONE_BEFORE = "0" * 64

SEALS_AFTER = """
SELECT number, first_position, last_position, sealed_at, jws, fingerprints FROM seals
WHERE number > %(number)s ORDER BY number LIMIT %(limit)s
"""
LISTED_AFTER = """
SELECT number, first_position, last_position, sealed_at, jws FROM seals
WHERE number > %(number)s ORDER BY number LIMIT %(limit)s
"""
NEWEST = """
SELECT number, first_position, last_position, sealed_at, jws, fingerprints FROM seals ORDER BY number DESC LIMIT 1
"""
ADD = """
INSERT INTO seals (number, first_position, last_position, sealed_at, jws, fingerprints)
VALUES (%(number)s, %(first_position)s, %(last_position)s, %(sealed_at)s, %(jws)s, %(fingerprints)s)
"""


class Seal(NamedTuple):
    """A seal as it is stored. Only what its `jws` says is signed; the other columns repeat it."""

    number: int
    first_position: int
    last_position: int
    sealed_at: datetime
    jws: str
    fingerprints: bytes

    @property
    def positions(self) -> int:
        """How many positions it covers."""
        return self.last_position - self.first_position + 1


class ListedSeal(NamedTuple):
    """A seal without its fingerprints, which are most of it."""

    number: int
    first_position: int
    last_position: int
    sealed_at: datetime
    jws: str

    @property
    def key_id(self) -> str:
        """Which key it says that it was signed with. Raises `SealInvalid` for what is no JWS."""
        return key_id_of(self.jws)


class Claims(msgspec.Struct, frozen=True):
    """What a seal says. Hashes are in hexadecimal; `previous_sha256` is that of the JWS before, zeros for the first."""

    number: Count
    first_position: Count
    last_position: Count
    root_sha256: str
    previous_sha256: str
    sealed_at: datetime


class SealInvalid(Failure):
    """This is no seal of this box office."""


def sha256_of(jws: str) -> str:
    """The hash by which the next seal is bound to this one, in hexadecimal."""
    return sha256(jws.encode()).hexdigest()


def sign(key: SigningKey, claims: Claims) -> str:
    """The seal that says this."""
    headers = {"kid": key.key_id, "typ": TYPE}
    return jwt.encode(msgspec.to_builtins(claims), key.private_key, ALGORITHM, headers=headers)


def key_id_of(jws: str) -> str:
    """Which key a seal says that it was signed with. Raises `SealInvalid` for what is no JWS."""
    try:
        return str(jwt.get_unverified_header(jws).get("kid"))
    except jwt.InvalidTokenError as error:
        raise SealInvalid(f"This is no seal: {error}.") from error


def check(jws: str, keys: Mapping[str, Jwk]) -> Claims:
    """What a seal says, once its signature is seen to be by one of these keys. Raises `SealInvalid`.

    A key counts under its own thumbprint only, whatever name it comes with.
    """
    key_id = key_id_of(jws)
    key = keys.get(key_id)
    if key is None or seal_keys.thumbprint(key) != key_id:
        raise SealInvalid(f"The seal was signed with an unknown key ({key_id}).")
    try:
        payload = jwt.decode(jws, jwt.PyJWK(key, ALGORITHM), algorithms=[ALGORITHM])
        return msgspec.convert(payload, Claims)
    except (jwt.PyJWTError, msgspec.ValidationError) as error:
        raise SealInvalid(f"The seal's signature is wrong: {error}.") from error


def fingerprints(leaves: Sequence[bytes]) -> bytes:
    """The first bytes of each hash, one after the other."""
    return b"".join([leaf[:FINGERPRINT_BYTES] for leaf in leaves])


async def newest(connection: Connection) -> Seal | None:
    """The last seal; None before the first."""
    cursor = connection.cursor(binary=True, row_factory=args_row(Seal))
    await cursor.execute(NEWEST)
    return await cursor.fetchone()


async def after(connection: Connection, number: int, limit: int) -> list[Seal]:
    """The next `limit` seals, in order."""
    cursor = connection.cursor(binary=True, row_factory=args_row(Seal))
    await cursor.execute(SEALS_AFTER, {"number": number, "limit": limit})
    return await cursor.fetchall()


async def listed_after(connection: Connection, number: int, limit: int) -> list[ListedSeal]:
    """The same for those who list them."""
    cursor = connection.cursor(binary=True, row_factory=args_row(ListedSeal))
    await cursor.execute(LISTED_AFTER, {"number": number, "limit": limit})
    return await cursor.fetchall()


async def seal_next(connection: Connection) -> Seal | None:
    """Seal what comes after the last seal, whole commands of about `RANGE_POSITIONS`; None when nothing does.

    Whoever calls it is alone in doing so.
    """
    before = await newest(connection)
    after_position = last_position = before.last_position if before else 0
    leaves: list[bytes] = []
    while len(leaves) < RANGE_POSITIONS:
        rows = await reading.rows_after(connection, last_position, PAGE_POSITIONS)
        leaves += [leaf_hash(row) for row in rows]
        last_position = rows[-1].position if rows else last_position
        if len(rows) < PAGE_POSITIONS:
            break
        await asyncio.sleep(PAUSE_SECONDS)
    if not leaves:
        return None
    now = await reading.now(connection)
    claims = Claims(
        number=before.number + 1 if before else 1,
        first_position=after_position + 1,
        last_position=last_position,
        root_sha256=root_hash(leaves).hex(),
        previous_sha256=sha256_of(before.jws) if before else NONE_BEFORE,
        sealed_at=now.astimezone(UTC),
    )
    async with connection.transaction():
        jws = sign(await seal_keys.in_use(connection), claims)
        seal = Seal(claims.number, claims.first_position, last_position, claims.sealed_at, jws, fingerprints(leaves))
        await connection.execute(ADD, seal._asdict())
    return seal
