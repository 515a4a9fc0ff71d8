"""The history stream by stream: versions, times, and the rules of events and reservations in force at each position."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from auditing.findings import Findings
from eventstore.history import StoredRow
from projections.folding import Rows


class StoredSnapshot(NamedTuple):
    """A snapshot of our shape, as it is stored."""

    stream_id: UUID
    version: int
    state: bytes


class StreamPass:
    """Takes rows ordered by stream and version, in batches of any size. Memory grows with the largest event only.

    Folds what the tables have to show of each stream at position `folded_through`.
    """

    def __init__(self, findings: Findings, *, folded_through: int = 0) -> None: ...

    def expect(self, snapshots: Iterable[StoredSnapshot]) -> None:
        """Snapshots to be held against the streams that come in the next `feed`."""

    def feed(self, rows: Sequence[StoredRow]) -> None:
        """Judge the next rows."""

    def end(self) -> None:
        """There are no more rows."""

    def take_folded(self) -> Mapping[str, Rows]:
        """The tables' rows of all streams that have ended since the last call, by table."""
        return {}
