"""The history stream by stream: versions, times, and the rules of events and reservations in force at each position."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from auditing.findings import Findings, Rule, place_of
from auditing.verify.checks.snapshot_check import SnapshotCheck, StoredSnapshot
from auditing.verify.rules.event_rules import EventRules
from auditing.verify.rules.reservation_rules import ReservationRules
from domain.domain_event import DomainEvent
from domain.event_facts import EventCreated
from domain.reservation import ReservationPlaced
from eventstore.reading import StoredRow
from projections.projector.folding import Rows, changed_keys
from projections.tables.table import Table

RULES: dict[type[DomainEvent], type[EventRules] | type[ReservationRules]] = {
    EventCreated: EventRules,
    ReservationPlaced: ReservationRules,
}


class Folded(NamedTuple):
    """What tables have to show of all streams up to `through`, by table; of the `unfoldable` ones it is not known."""

    through: UUID | None
    rows: dict[str, Rows]
    unfoldable: set[UUID]


class StreamPass:
    """Takes rows ordered by stream and version, in batches of any size. Memory grows with the largest event only.

    Folds what `tables` have to show of each stream at position `folded_through`.
    """

    def __init__(self, findings: Findings, *, folded_through: int = 0, tables: Sequence[Table] = ()) -> None:
        self.rows = 0
        self.folded_through = folded_through
        self._findings = findings
        self._snapshots = SnapshotCheck(findings)
        self._changes = changed_keys(tables)
        self._stream_id: UUID | None = None
        self._version = 0
        self._time: datetime | None = None
        # None before the first domain event of a stream, and after one that can't be folded.
        self._rules: EventRules | ReservationRules | None = None
        self._folding: dict[str, Rows] = {table.name: {} for table in tables}
        self._folded: dict[str, Rows] = {table.name: {} for table in tables}
        self._unfoldable: set[UUID] = set()
        self._ended_through: UUID | None = None
        self._snapshot_version = 0

    def expect(self, snapshots: Iterable[StoredSnapshot]) -> None:
        """Snapshots, in order, of the streams that come in the next `feed`."""
        self._snapshots.expect(snapshots)

    def feed(self, rows: Sequence[StoredRow]) -> None:
        """Judge the next rows."""
        self.rows += len(rows)
        for row in rows:
            is_first = row.stream_id != self._stream_id
            if is_first:
                self._end_stream()
                self._stream_id = row.stream_id
                self._snapshot_version = self._snapshots.begin_stream(row.stream_id)
            if row.version != self._version + 1:
                self._jumped(row)
            self._version = row.version
            try:
                it = row.recorded().domain_event
                if is_first:
                    self._begin(row, it)
                self._judge(row, it)
                self._fold(row.position, it)
            except Exception as error:
                self._give_up(row, error)

    def end(self) -> None:
        """There are no more rows."""
        self._end_stream()
        self._snapshots.end()

    def take_folded(self) -> Folded:
        """What the streams that ended since the last call have to show in the tables."""
        folded = Folded(self._ended_through, self._folded, self._unfoldable)
        self._folded, self._unfoldable = {name: {} for name in self._folded}, set()
        return folded

    def _begin(self, row: StoredRow, it: DomainEvent) -> None:
        rules = RULES.get(type(it))
        self._rules = rules() if rules else None
        if rules is None:
            self._give_up(row, None)
            if row.version == 1:
                self._tell(row, Rule.STREAM_UNKNOWN, f"No stream begins with {it.TOPIC}.")

    def _jumped(self, row: StoredRow) -> None:
        if row.version <= self._version:
            self._tell(row, Rule.VERSION_HOLE, f"Version {row.version} comes after {self._version}.")
            return
        first, last = self._version + 1, row.version - 1
        missing = f"Version {first} is" if first == last else f"Versions {first} to {last} are"
        self._findings.add(row.position, Rule.VERSION_HOLE, place_of(row.stream_id, first), f"{missing} missing.")

    def _judge(self, row: StoredRow, it: DomainEvent) -> None:
        """Name every rule that the next domain event of the stream breaks, and fold it."""
        if self._time is not None and it.timestamp < self._time:
            sentence = f"It was recorded at {it.timestamp}, before the one before it ({self._time})."
            self._tell(row, Rule.TIME_BACKWARDS, sentence)
        self._time = it.timestamp
        rules = self._rules
        if rules is None:
            return
        is_broken = False
        for rule, sentence in rules.broken_by(it):
            self._tell(row, rule, sentence)
            is_broken = True
        try:
            rules.fold(it)
        except Exception as error:
            # What breaks a rule may be impossible to fold: that it is so was told already.
            self._give_up(row, None if is_broken else error)
            return
        if row.version == self._snapshot_version:
            self._snapshots.compare(rules.kept, row)

    def _fold(self, position: int, it: DomainEvent) -> None:
        if position > self.folded_through or self._stream_id in self._unfoldable:
            return
        for table, keys, _ in self._changes.get(type(it), ()):
            rows = self._folding[table.name]
            for key in keys(it, position):
                rows[key] = table.fold(rows.get(key), key, position, it)

    def _give_up(self, row: StoredRow, error: Exception | None) -> None:
        """The stream's state is unknown from here on: only its versions and times can be judged."""
        self._rules = None
        self._unfoldable.add(row.stream_id)
        if error is not None:
            self._tell(row, Rule.UNREADABLE, f"It can't be read or folded: {error!r}.")

    def _end_stream(self) -> None:
        if self._stream_id is None:
            return
        self._snapshots.end_stream(self._stream_id, self._version)
        for name, rows in self._folding.items():
            self._folded[name].update(rows)
            rows.clear()
        self._ended_through = self._stream_id
        self._rules, self._version, self._time = None, 0, None

    def _tell(self, row: StoredRow, rule: Rule, sentence: str) -> None:
        self._findings.add(row.position, rule, place_of(row.stream_id, row.version), sentence)
