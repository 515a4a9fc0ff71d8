"""A seal that is kept elsewhere: whoever has it can tell later that what it covers was rewritten, whoever did it."""

from datetime import datetime

import msgspec

from eventstore import seal_keys, seals
from eventstore.connections import Connection
from eventstore.seal_keys import Jwk


class KeptSeal(msgspec.Struct, frozen=True):
    """What `tixxety newest-seal` gives: the seal as a JWS, the public key that checks it, and what it says."""

    seal: str
    key: Jwk
    number: int
    last_position: int
    sealed_at: datetime


async def newest(connection: Connection) -> KeptSeal | None:
    """The newest seal to keep; None before the first. Raises `SealInvalid` for one that does not hold."""
    seal = await seals.newest(connection)
    if seal is None:
        return None
    keys = {key["kid"]: key for key in await seal_keys.published(connection)}
    claims = seals.check(seal.jws, keys)
    key = keys[seals.key_id_of(seal.jws)]
    return KeptSeal(seal.jws, key, claims.number, claims.last_position, claims.sealed_at)
