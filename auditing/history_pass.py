"""The history in position order: no hole and no repeat, whole commands, and both streams of a purchase agreeing."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from auditing.findings import Findings
from domain.ticketed_event import EventCreated
from eventstore.history import Recorded, StoredRow


class HistoryPass:
    """Takes the rows after position `after`, in order and in batches of any size. Memory is bounded.

    `gapless=False` is for parts of the history, such as the streams of one event: whole commands, positions rising.
    """

    def __init__(self, findings: Findings, *, after: int = 0, gapless: bool = True) -> None: ...

    def feed(self, rows: Sequence[StoredRow]) -> list[Recorded]:
        """Judge the next rows; returns those that can be read."""

    def unknown_events(self) -> list[UUID]:
        """Events whose prices are needed and not known, to be asked for after each `feed` and answered by `learn`."""

    def learn(self, created: Iterable[EventCreated]) -> None:
        """The creation of events that were unknown. Those that do not come were never created, which is a finding."""

    def end(self) -> None:
        """There are no more rows."""
