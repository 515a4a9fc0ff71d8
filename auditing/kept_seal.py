"""A seal that was kept outside of the database: what finds out even whoever may rewrite all of it."""

from typing import NamedTuple

import msgspec

from eventstore.seal_keys import Jwk
from eventstore.seals import Claims, SealInvalid, check, key_id_of


class SealFile(msgspec.Struct, frozen=True):
    """The JSON that is kept: the seal as a JWS, and the public key that it was signed with as a JWK."""

    seal: str
    key: Jwk


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
