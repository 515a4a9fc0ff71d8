"""Seals against the rows that they cover: signatures, chain, ranges, Merkle roots."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from auditing.findings import Findings, Rule
from eventstore.reading import StoredRow
from eventstore.seals.merkle import leaf_hash, root_hash
from eventstore.seals.seal_keys import Jwk
from eventstore.seals.seals import (
    FINGERPRINT_BYTES,
    NONE_BEFORE,
    Claims,
    Seal,
    SealInvalid,
    check,
    fingerprints,
    sha256_of,
)

SIGNED_COLUMNS = ("number", "first_position", "last_position", "sealed_at")


class Promise(NamedTuple):
    """What one seal says of its range; None for `claims` when its signature does not vouch for them."""

    seal: Seal
    claims: Claims | None
    first_position: int
    last_position: int


class SealPass:
    """Takes seals by number and rows by position; a row's seal has to be learned before the row is fed.

    Memory is bounded by the seals learned ahead and one range's hashes. `before` is the seal before the first one.
    """

    def __init__(self, findings: Findings, keys: Mapping[str, Jwk], *, before: Seal | None = None) -> None:
        self.newest = before
        self.sealed_through = before.last_position if before else 0
        self._findings = findings
        self._keys = keys
        self._promises: deque[Promise] = deque()
        self._positions: list[int] = []
        self._leaves: list[bytes] = []
        self.learned_through = self.sealed_through

    def learn(self, seals: Sequence[Seal]) -> None:
        """The next seals, in order."""
        for seal in seals:
            first_position = self.learned_through + 1
            number = self.newest.number + 1 if self.newest else 1
            if seal.number != number:
                missing = f"Seal {number} is missing" if seal.number == number + 1 else "Seals are missing"
                self._tell(first_position, Rule.SEAL_HOLE, seal, f"{missing} before seal {seal.number}.")
            claims = self._checked(seal, first_position)
            last_position = max(claims.last_position if claims else seal.last_position, self.learned_through)
            self._promises.append(Promise(seal, claims, first_position, last_position))
            self.learned_through = last_position
            self.newest = seal

    def feed(self, rows: Sequence[StoredRow]) -> None:
        """The next rows, in order."""
        for row in rows:
            position = row.position
            while self._promises and position > self._promises[0].last_position:
                self._close_range()
            if not self._promises:
                return
            self._positions.append(position)
            self._leaves.append(leaf_hash(row))

    def end(self) -> None:
        """There are no more rows and seals."""
        while self._promises:
            self._close_range()

    def _checked(self, seal: Seal, first_position: int) -> Claims | None:
        """What the seal says, after looking at it and at how it follows the one before."""
        try:
            claims = check(seal.jws, self._keys)
        except SealInvalid as invalid:
            self._tell(first_position, Rule.SEAL_INVALID, seal, str(invalid))
            return None
        for column in SIGNED_COLUMNS:
            if getattr(seal, column) != getattr(claims, column):
                sentence = f"The column {column} of seal {seal.number} is not what is signed."
                self._tell(first_position, Rule.SEAL_ALTERED, seal, sentence)
        if claims.previous_sha256 != (sha256_of(self.newest.jws) if self.newest else NONE_BEFORE):
            sentence = f"Seal {seal.number} was bound to another seal than the one before it."
            self._tell(first_position, Rule.SEAL_BROKEN, seal, sentence)
        if claims.first_position != first_position:
            sentence = f"Seal {seal.number} begins at position {claims.first_position} instead of {first_position}."
            self._tell(first_position, Rule.SEAL_HOLE, seal, sentence)
        return claims

    def _close_range(self) -> None:
        """All rows of the oldest promise have come: do they keep it?"""
        promise = self._promises.popleft()
        seal, claims, first_position, last_position = promise
        positions, leaves = self._positions, self._leaves
        self._positions, self._leaves = [], []
        if claims is None:
            return
        prints = fingerprints(leaves)
        is_whole = len(leaves) == last_position - first_position + 1 and bool(leaves)
        if is_whole and root_hash(leaves).hex() == claims.root_sha256:
            self.sealed_through = last_position
            if prints != seal.fingerprints:
                sentence = f"The fingerprints of seal {seal.number} are not those of what it seals."
                self._tell(first_position, Rule.SEAL_ALTERED, seal, sentence)
            return
        by_position: dict[int, bytes] = {}
        for position, leaf in zip(positions, leaves, strict=True):
            by_position[position] = b"" if position in by_position else leaf
        if not self._tell_what_differs(promise, by_position):
            sentence = (
                f"Positions {first_position} to {last_position} are not what was sealed by seal {seal.number}; "
                "its fingerprints do not tell which."
            )
            self._tell(first_position, Rule.SEAL_BROKEN, seal, sentence)

    def _tell_what_differs(self, promise: Promise, leaves: Mapping[int, bytes]) -> bool:
        """Name the positions that the fingerprints show to be gone or altered; whether there are any.

        A position that is there twice has no leaf that could match.
        """
        seal, found = promise.seal, False
        for place in range(len(seal.fingerprints) // FINGERPRINT_BYTES):
            position = promise.first_position + place
            leaf = leaves.get(position)
            sealed = seal.fingerprints[place * FINGERPRINT_BYTES : (place + 1) * FINGERPRINT_BYTES]
            if leaf is None or leaf[:FINGERPRINT_BYTES] != sealed:
                what = "is gone" if leaf is None else "was altered"
                sentence = f"Position {position} {what} since it was sealed by seal {seal.number}."
                self._tell(position, Rule.SEAL_BROKEN, seal, sentence)
                found = True
        return found

    def _tell(self, position: int, rule: Rule, seal: Seal, sentence: str) -> None:
        self._findings.add(position, rule, f"seal {seal.number}", sentence)
