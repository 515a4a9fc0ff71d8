"""Snapshots against the fold of their streams: one may be missing at any time, but what is there has to be true."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

import msgspec

from auditing.findings import Findings, Rule
from domain.domain_event import KeptAggregate
from eventstore.reading import StoredRow
from eventstore.snapshots import difference


class StoredSnapshot(NamedTuple):
    """A snapshot of our shape, as it is stored."""

    stream_id: UUID
    version: int
    state: bytes


class SnapshotCheck:
    """Goes along with the streams, in their order. Memory is bounded by the snapshots expected ahead."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._expected: deque[StoredSnapshot] = deque()

    def expect(self, snapshots: Iterable[StoredSnapshot]) -> None:
        """The next ones, in the order of their streams."""
        self._expected.extend(snapshots)

    def begin_stream(self, stream_id: UUID) -> int:
        """The version to `compare` this stream at; 0 when it has no snapshot."""
        while self._expected and self._expected[0].stream_id < stream_id:
            self._unknown(self._expected.popleft())
        if self._expected and self._expected[0].stream_id == stream_id:
            return self._expected[0].version
        return 0

    def compare(self, kept: KeptAggregate | None, row: StoredRow) -> None:
        """Hold the stream's snapshot against the aggregate as of the row; None is one that no snapshot is kept of."""
        snapshot = self._expected[0]
        if kept is None:
            self._tell(row.position, snapshot, "A snapshot is kept of what needs none.")
            return
        try:
            part = difference(kept, snapshot.state)
        except (msgspec.MsgspecError, UnicodeDecodeError, LookupError) as error:
            self._tell(row.position, snapshot, f"The snapshot can't be read: {error}.")
            return
        if part:
            self._tell(row.position, snapshot, f"The snapshot has another {part} than the stream at its version.")

    def end_stream(self, stream_id: UUID, version: int) -> None:
        """The stream has ended with this version."""
        if self._expected and self._expected[0].stream_id == stream_id:
            snapshot = self._expected.popleft()
            if not 1 <= snapshot.version <= version:
                self._tell(None, snapshot, f"The snapshot is beyond the stream, which ends with {version}.")

    def end(self) -> None:
        """There are no more streams."""
        while self._expected:
            self._unknown(self._expected.popleft())

    def _unknown(self, snapshot: StoredSnapshot) -> None:
        self._tell(None, snapshot, "A snapshot is kept of a stream that is not there.")

    def _tell(self, position: int | None, snapshot: StoredSnapshot, sentence: str) -> None:
        place = f"snapshot of stream {snapshot.stream_id}, version {snapshot.version}"
        self._findings.add(position, Rule.SNAPSHOT_DIFFERS, place, sentence)
