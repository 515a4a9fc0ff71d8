"""Seals against the domain events that they cover: signatures, chain, ranges, Merkle roots."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from auditing.findings import Findings, Rule
from eventstore.reading import StoredRow
from eventstore.seals.merkle import leaf_hash, root_with_proof
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
# More than the longest range and the longest command have; what comes without a seal need not be held any longer.
MOST_ROWS = 65_536


class Promise(NamedTuple):
    """What one seal says of its range; None for `claims` when these can't be judged.

    `missing` are the hashes of what its range has and is not shown, as `eventstore.seals.merkle.proof` gives them.
    """

    seal: Seal
    claims: Claims | None
    missing: Sequence[str]
    last_position: int


class SealPass:
    """Takes seals by number and rows by position. A row's seal is learned before a row behind its range is fed.

    A whole history is `gapless`: seals follow each other, and nothing is missing of their ranges. Of a part the seals
    are learned that have some of it in their ranges. Memory is bounded by the seals learned ahead and `MOST_ROWS`.
    `before` is the seal before the first one.
    """

    def __init__(
        self, findings: Findings, keys: Mapping[str, Jwk], *, before: Seal | None = None, gapless: bool = True
    ) -> None:
        self.newest = before
        self.sealed_through = before.last_position if before else 0
        self.learned_through = self.sealed_through
        self._findings = findings
        self._keys = keys
        self._gapless = gapless
        self._promises: deque[Promise] = deque()
        # By position; of one that comes twice, none that could match.
        self._leaves: dict[int, bytes] = {}

    def learn(self, seal: Seal, missing: Sequence[str] = ()) -> Claims | None:
        """The next seal; `missing` are hashes in hexadecimal, for parts of a history only.

        Returns what it says; None where nobody known has signed it.
        """
        number = self.newest.number + 1 if self.newest else 1
        follows = self._gapless or seal.number == number
        position = self.learned_through + 1 if follows else seal.first_position
        if seal.number < number:
            self._tell(position, Rule.SEAL_HOLE, seal, f"Seal {seal.number} comes after seal {number - 1}.")
        elif self._gapless and seal.number > number:
            gap = f"Seal {number} is missing" if seal.number == number + 1 else "Seals are missing"
            self._tell(position, Rule.SEAL_HOLE, seal, f"{gap} before seal {seal.number}.")
        signed = claims = None
        try:
            signed = check(seal.jws, self._keys)
        except SealInvalid as invalid:
            self._tell(position, Rule.SEAL_INVALID, seal, str(invalid))
        else:
            self._compare(seal, signed, position, follows=follows)
            # What was taken for the ranges before it can't be judged again.
            if signed.first_position > self.learned_through:
                claims = signed
        self.learned_through = max(self.learned_through, (claims or seal).last_position)
        self._promises.append(Promise(seal, claims, missing, self.learned_through))
        self.newest = seal
        return signed

    def feed(self, rows: Sequence[StoredRow]) -> None:
        """The next rows, in order."""
        for row in rows:
            position = row.position
            while self._promises and position > self._promises[0].last_position:
                self._close_range()
            self._leaves[position] = b"" if position in self._leaves else leaf_hash(row)
        if len(self._leaves) > MOST_ROWS:
            self._leaves.clear()

    def end(self) -> None:
        """There are no more rows and seals."""
        while self._promises:
            self._close_range()

    def _compare(self, seal: Seal, claims: Claims, position: int, *, follows: bool) -> None:
        """Are the columns what is signed, and does the seal come where it says?"""
        for column in SIGNED_COLUMNS:
            if getattr(seal, column) != getattr(claims, column):
                sentence = f"The column {column} of seal {seal.number} is not what is signed."
                self._tell(position, Rule.SEAL_ALTERED, seal, sentence)
        if follows and claims.previous_sha256 != (sha256_of(self.newest.jws) if self.newest else NONE_BEFORE):
            sentence = f"Seal {seal.number} was bound to another seal than the one before it."
            self._tell(position, Rule.SEAL_BROKEN, seal, sentence)
        least = self.learned_through + 1
        if claims.first_position < least or (follows and claims.first_position > least):
            expected = f"{least}" if follows else f"{least} or later"
            sentence = f"Seal {seal.number} begins at position {claims.first_position} instead of {expected}."
            self._tell(position, Rule.SEAL_HOLE, seal, sentence)

    def _close_range(self) -> None:
        """All rows of the oldest promise have come: do they keep it?"""
        seal, claims, missing, _ = self._promises.popleft()
        leaves, self._leaves = dict(sorted(self._leaves.items())), {}
        if claims is None:
            return
        first, last = claims.first_position, claims.last_position
        if _root(claims, leaves, missing) == claims.root_sha256:
            self.sealed_through = last
            if seal.fingerprints != fingerprints(list(leaves.values())):
                sentence = f"The fingerprints of seal {seal.number} are not those of what it seals."
                self._tell(first, Rule.SEAL_ALTERED, seal, sentence)
            return
        found = False
        for position, what in _differences(seal, claims, leaves):
            found = True
            sentence = f"Position {position} {what} since it was sealed by seal {seal.number}."
            self._tell(position, Rule.SEAL_BROKEN, seal, sentence)
        if not found:
            sentence = (
                f"Positions {first} to {last} are not what was sealed by seal {seal.number}; "
                "its fingerprints do not tell which."
            )
            self._tell(first, Rule.SEAL_BROKEN, seal, sentence)

    def _tell(self, position: int, rule: Rule, seal: Seal, sentence: str) -> None:
        self._findings.add(position, rule, f"seal {seal.number}", sentence)


def _root(claims: Claims, leaves: Mapping[int, bytes], missing: Sequence[str]) -> str | None:
    """The root of a range, from what is shown of it and what is missing; None where these are not all of it."""
    size = claims.last_position - claims.first_position + 1
    places = {position - claims.first_position: leaf for position, leaf in leaves.items()}
    if not places or not all(0 <= place < size for place in places):
        return None
    try:
        proof = iter([bytes.fromhex(text) for text in missing])
        root = root_with_proof(size, places, proof)
    except (StopIteration, ValueError):
        return None
    return root.hex() if next(proof, None) is None else None


def _differences(seal: Seal, claims: Claims, leaves: Mapping[int, bytes]) -> Iterator[tuple[int, str]]:
    """The positions that the fingerprints show to be gone, altered or put in, and which of these."""
    first, last, size = claims.first_position, claims.last_position, FINGERPRINT_BYTES
    if outside := [position for position in leaves if not first <= position <= last]:
        yield outside[0], "is not in the range of its seal: something is gone or was put in"
    prints = [seal.fingerprints[at : at + size] for at in range(0, len(seal.fingerprints), size)]
    if len(prints) == last - first + 1:
        for position, sealed in enumerate(prints, first):
            leaf = leaves.get(position)
            if leaf is None or leaf[:size] != sealed:
                yield position, "is gone" if leaf is None else "was altered"
        return
    # Of a part it is not known which positions the fingerprints are of.
    for (position, leaf), sealed in zip(leaves.items(), prints, strict=False):
        if leaf[:size] != sealed:
            yield position, "was altered, or others before it are gone,"
            return
