"""The seals of an export against its rows: of everything, or of the part that one event has in their ranges."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from auditing.export.records import SealRecord
from auditing.findings import Findings, Rule
from auditing.verify.database.kept_seal import KeptSeal
from auditing.verify.judging.seal_pass import SIGNED_COLUMNS, SealPass
from eventstore.reading import StoredRow
from eventstore.seals.merkle import leaf_hash, root_with_proof
from eventstore.seals.seal_keys import Jwk
from eventstore.seals.seals import FINGERPRINT_BYTES, Claims, SealInvalid, check, sha256_of

# More than the longest range and the longest command have; what comes without a seal need not be held any longer.
MOST_ROWS = 65_536


class FileSeals(Protocol):
    """Takes rows in order, and each seal after the rows of its range."""

    newest: int | None

    @property
    def sealed_through(self) -> int:
        """The last position that a seal vouches for."""

    def feed(self, rows: Sequence[StoredRow]) -> None:
        """The next rows."""

    def close(self, seal: SealRecord) -> None:
        """All rows of its range have come."""

    def end(self) -> None:
        """There are no more."""


class WholeSeals:
    """Of an export of everything. Memory is bounded by one range's rows."""

    def __init__(self, findings: Findings, keys: Mapping[str, Jwk]) -> None:
        self.newest: int | None = None
        self._pass = SealPass(findings, keys)
        self._rows: list[StoredRow] = []

    @property
    def sealed_through(self) -> int:
        """The last position that a seal vouches for."""
        return self._pass.sealed_through

    def feed(self, rows: Sequence[StoredRow]) -> None:
        self._rows += rows
        if len(self._rows) > MOST_ROWS:
            self._rows.clear()

    def close(self, seal: SealRecord) -> None:
        self.newest = seal.number
        self._pass.learn([seal.as_seal()])
        self._pass.feed(self._rows)
        self._rows.clear()

    def end(self) -> None:
        self._pass.end()


class PartSeals:
    """Of an export of one event: roots are worked out from its rows and the hashes of the others."""

    def __init__(self, findings: Findings, keys: Mapping[str, Jwk]) -> None:
        self.newest: int | None = None
        self._sealed_through = 0
        self._findings = findings
        self._keys = keys
        self._before: SealRecord | None = None
        self._shown: dict[int, bytes] = {}

    @property
    def sealed_through(self) -> int:
        """The last position that a seal vouches for."""
        return self._sealed_through

    def feed(self, rows: Sequence[StoredRow]) -> None:
        self._shown |= {row.position: leaf_hash(row) for row in rows}
        if len(self._shown) > MOST_ROWS:
            self._shown.clear()

    def close(self, seal: SealRecord) -> None:
        shown, self._shown = self._shown, {}
        before, self._before = self._before, seal
        self.newest = seal.number
        try:
            claims = check(seal.jws, self._keys)
        except SealInvalid as invalid:
            self._tell(seal.first_position, Rule.SEAL_INVALID, seal, str(invalid))
            return
        for column in SIGNED_COLUMNS:
            if getattr(seal, column) != getattr(claims, column):
                sentence = f"The column {column} of seal {seal.number} is not what is signed."
                self._tell(claims.first_position, Rule.SEAL_ALTERED, seal, sentence)
        if before is not None:
            self._follows(seal, claims, before)
        if self._holds(seal, claims, shown):
            self._sealed_through = claims.last_position
            if seal.fingerprints != b"".join([leaf[:FINGERPRINT_BYTES] for leaf in shown.values()]):
                sentence = f"The fingerprints of seal {seal.number} are not those of what it seals."
                self._tell(claims.first_position, Rule.SEAL_ALTERED, seal, sentence)
        else:
            position, what = _differing(seal, claims, shown)
            self._tell(position, Rule.SEAL_BROKEN, seal, f"{what} since it was sealed by seal {seal.number}.")

    def end(self) -> None:
        pass

    def _follows(self, seal: SealRecord, claims: Claims, before: SealRecord) -> None:
        """Is it a later one, and bound to the one before where that is here?"""
        if seal.number <= before.number or claims.first_position <= before.last_position:
            sentence = f"Seal {seal.number} comes after seal {before.number}."
            self._tell(claims.first_position, Rule.SEAL_HOLE, seal, sentence)
        elif seal.number == before.number + 1 and claims.previous_sha256 != sha256_of(before.jws):
            sentence = f"Seal {seal.number} was bound to another seal than the one before it."
            self._tell(claims.first_position, Rule.SEAL_BROKEN, seal, sentence)

    @staticmethod
    def _holds(seal: SealRecord, claims: Claims, shown: Mapping[int, bytes]) -> bool:
        """Whether what is shown and what is missing are together what was sealed."""
        places = {position - claims.first_position: leaf for position, leaf in shown.items()}
        size = claims.last_position - claims.first_position + 1
        if not places or not all(0 <= place < size for place in places):
            return False
        try:
            missing = iter([bytes.fromhex(text) for text in seal.missing or ()])
            return root_with_proof(size, places, missing).hex() == claims.root_sha256 and next(missing, None) is None
        except (StopIteration, ValueError):
            return False

    def _tell(self, position: int, rule: Rule, seal: SealRecord, sentence: str) -> None:
        self._findings.add(position, rule, f"seal {seal.number}", sentence)


def _differing(seal: SealRecord, claims: Claims, shown: Mapping[int, bytes]) -> tuple[int, str]:
    """The first position that the fingerprints don't know, or else the range; and what happened to it."""
    size = FINGERPRINT_BYTES
    for number, (position, leaf) in enumerate(shown.items()):
        if not claims.first_position <= position <= claims.last_position:
            return position, f"Position {position} is not in the range of its seal: something is gone or was put in"
        if leaf[:size] != seal.fingerprints[number * size : (number + 1) * size]:
            return position, f"Position {position} was altered, or others before it are gone,"
    what = f"Positions {claims.first_position} to {claims.last_position} are not what was sealed: something is gone"
    return claims.first_position, what


class Kept:
    """Looks for a seal that was kept elsewhere among those of the file."""

    def __init__(self, findings: Findings, kept: KeptSeal) -> None:
        # Whether anything could be said about it.
        self.is_known = False
        self._findings = findings
        self._kept = kept

    def look(self, seal: SealRecord) -> None:
        """It has to be there letter by letter, or be bound to the one before it."""
        jws, claims = self._kept
        if seal.number == claims.number:
            self.is_known = True
            if seal.jws != jws:
                self._tell(f"Seal {claims.number} is not the one that was kept: it was made again.")
        if seal.number == claims.number - 1:
            self.is_known = True
            if sha256_of(seal.jws) != claims.previous_sha256:
                self._tell(f"Seal {seal.number} is not the one that the kept seal {claims.number} was bound to.")

    def missing(self) -> None:
        """It has to be there, and is not."""
        self.is_known = True
        claims = self._kept.claims
        self._tell(f"Seal {claims.number}, which was kept, is gone; it covered up to position {claims.last_position}.")

    def _tell(self, sentence: str) -> None:
        claims = self._kept.claims
        self._findings.add(claims.first_position, Rule.SEAL_MISSING, f"seal {claims.number}", sentence)
