"""A seal that was kept outside of the database: what finds out even whoever may rewrite all of it."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from eventstore.postgres.connections import Connection
from eventstore.seals import seal_keys, seals
from eventstore.seals.seal_keys import Jwk
from eventstore.seals.seals import Claims, SealInvalid, check, key_id_of


class SealFile(msgspec.Struct, frozen=True):
    """The JSON that is kept: the seal as a JWS, and the public key that it was signed with as a JWK."""

    seal: str
    key: Jwk


class NewestSeal(SealFile, frozen=True):
    """The same, and for whoever keeps it what it says."""

    number: int
    last_position: int
    sealed_at: datetime


class KeptSeal(NamedTuple):
    """A seal and what it says; its signature is right."""

    jws: str
    claims: Claims


def read(content: bytes) -> KeptSeal:
    """The seal in a file's content. Raises `SealInvalid` for what is none."""
    try:
        file = msgspec.json.decode(content, type=SealFile)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SealInvalid(f"The file holds no seal: {error}.") from error
    return KeptSeal(file.seal, check(file.seal, {key_id_of(file.seal): file.key}))


async def newest(connection: Connection) -> NewestSeal | None:
    """The newest seal, to be kept; None before the first. Raises `SealInvalid` for one that does not hold."""
    seal = await seals.newest(connection)
    if seal is None:
        return None
    keys = {key["kid"]: key for key in await seal_keys.published(connection)}
    claims = check(seal.jws, keys)
    key = keys[key_id_of(seal.jws)]
    return NewestSeal(seal.jws, key, claims.number, claims.last_position, claims.sealed_at)
