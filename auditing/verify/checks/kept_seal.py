"""A seal that was kept outside of the database: it exposes even somebody who could rewrite all of it."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from auditing.findings import Findings, Rule
from eventstore.postgres.connections import Connection
from eventstore.seals import seal_keys, seals
from eventstore.seals.seal_keys import Jwk
from eventstore.seals.seals import NONE_BEFORE, Claims, SealInvalid, check, key_id_of, sha256_of


class SealFile(msgspec.Struct, frozen=True):
    """The JSON that is kept: the seal as a JWS, and the public key that it was signed with as a JWK."""

    seal: str
    key: Jwk


class NewestSeal(SealFile, frozen=True):
    """The same, with what the seal says beside it, for whoever keeps the file."""

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


class KeptSealCheck:
    """Looks for a seal that was kept elsewhere among those that there are."""

    def __init__(self, findings: Findings, kept: KeptSeal) -> None:
        # Whether anything could be said about it.
        self.is_known = False
        self._findings = findings
        self._kept = kept
        self._before: str | None = None
        # Of the seals that are bound one to the next up to the last one, and of all others.
        self._bound: set[str] = set()
        self._not_bound: set[str] = set()

    @property
    def keys_to_compare(self) -> list[str]:
        """The keys of seals that are neither bound by the kept one nor signed with its key, of those passed so far."""
        return sorted(self._not_bound | self._bound)

    def pass_by(self, number: int, jws: str, claims: Claims | None) -> None:
        """The next seal of an export, and what it says; None where its signature is wrong, which is a finding anyway.

        Whoever can write a file can put in a key and a seal that is bound to the kept one; what is proved by being
        bound is what comes before that.
        """
        if claims is None or claims.previous_sha256 != (sha256_of(self._before) if self._before else NONE_BEFORE):
            self._not_bound |= self._bound
            self._bound = set()
        self._before = jws
        if claims is not None:
            self._bound |= {key_id_of(jws)} - {key_id_of(self._kept.jws)}
        self.look(number, jws)

    def look(self, number: int, jws: str) -> None:
        """It has to be there letter by letter, or be bound to the one before it."""
        claims = self._kept.claims
        if number not in (claims.number - 1, claims.number):
            return
        self.is_known = True
        self._bound.clear()
        if number == claims.number and jws != self._kept.jws:
            self._tell(f"Seal {claims.number} is not the one that was kept: it was made again.")
        if number == claims.number - 1 and sha256_of(jws) != claims.previous_sha256:
            self._tell(f"Seal {number} is not the one that the kept seal {claims.number} was bound to.")

    def end(self) -> None:
        """There are no more seals, and it has to be one of them."""
        if not self.is_known:
            self.is_known = True
            claims = self._kept.claims
            what = f"it covered up to position {claims.last_position}"
            self._tell(f"Seal {claims.number}, which was kept, is gone; {what}.")

    def _tell(self, sentence: str) -> None:
        claims = self._kept.claims
        self._findings.add(claims.first_position, Rule.SEAL_MISSING, f"seal {claims.number}", sentence)
