"""Seals against the rows that they cover: signatures, chain, ranges, Merkle roots."""

from collections.abc import Mapping, Sequence

from auditing.findings import Findings
from eventstore.history import StoredRow
from eventstore.seal_keys import Jwk
from eventstore.seals import Seal


class SealPass:
    """Takes seals by number and rows by position; a row's seal has to be learned before the row is fed.

    Memory is bounded by the seals learned ahead and one range's hashes. `before` is the seal before the first one.
    """

    sealed_through: int
    newest: Seal | None

    def __init__(self, findings: Findings, keys: Mapping[str, Jwk], *, before: Seal | None = None) -> None: ...

    @property
    def learned_through(self) -> int:
        """The last position that the seals learned so far cover."""
        return 0

    def learn(self, seals: Sequence[Seal]) -> None:
        """The next seals, in order."""

    def feed(self, rows: Sequence[StoredRow]) -> None:
        """The next rows, in order."""

    def end(self) -> None:
        """There are no more rows and seals."""
