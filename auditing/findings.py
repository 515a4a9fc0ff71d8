"""What verification finds: which rule is broken, where, and in a sentence; and the report of them all."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

KEPT_FINDINGS = 100
REPORTED_FINDINGS = 21


class Rule(StrEnum):
    """Every rule that a history can break. The values are stable: programs may rely on them."""

    UNREADABLE = "unreadable"
    # The order of the history, and its seals.
    POSITION_HOLE = "position-hole"
    POSITION_REPEATED = "position-repeated"
    COMMAND_CUT = "command-cut"
    REQUESTS_MIXED = "requests-mixed"
    SEAL_BROKEN = "seal-broken"
    SEAL_ALTERED = "seal-altered"
    SEAL_INVALID = "seal-invalid"
    SEAL_HOLE = "seal-hole"
    SEAL_MISSING = "seal-missing"
    # One purchase, told twice.
    STREAMS_DISAGREE = "streams-disagree"
    AMOUNT_WRONG = "amount-wrong"
    TICKET_TYPE_UNKNOWN = "ticket-type-unknown"
    # One stream.
    VERSION_HOLE = "version-hole"
    TIME_BACKWARDS = "time-backwards"
    STREAM_UNKNOWN = "stream-unknown"
    RESERVATION_LIFE = "reservation-life"
    PAID_LATE = "paid-late"
    EXTENDED_LATE = "extended-late"
    EXPIRED_EARLY = "expired-early"
    CANCELLED_LATE = "cancelled-late"
    OVERSOLD = "oversold"
    LIMIT_PER_BUYER = "limit-per-buyer"
    OUTSIDE_SALES_WINDOW = "outside-sales-window"
    AFTER_EVENT_ENDED = "after-event-ended"
    AFTER_EVENT_CANCELLED = "after-event-cancelled"
    NOT_CANCELLED = "not-cancelled"
    CAPACITY_BELOW_TAKEN = "capacity-below-taken"
    HOLD_LENGTH = "hold-length"
    NEVER_HELD = "never-held"
    NEVER_WITHHELD = "never-withheld"
    # What is made from the history.
    FILE_ALTERED = "file-altered"
    SNAPSHOT_DIFFERS = "snapshot-differs"
    PROJECTION_DIFFERS = "projection-differs"


class Finding(msgspec.Struct, frozen=True):
    """One broken rule. `place` is a stream and version, a table and key, or a seal's number."""

    position: int | None
    rule: Rule
    place: str
    sentence: str

    @property
    def order(self) -> tuple[bool, int]:
        """By position; what has none comes last."""
        return self.position is None, self.position or 0


class Findings:
    """Counts what is found and keeps the `KEPT_FINDINGS` with the lowest positions, so that memory is bounded."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[Finding] = []

    def add(self, position: int | None, rule: Rule, place: str, sentence: str) -> None:
        """One more."""
        self.take([Finding(position, rule, place, sentence)], 1)

    def take(self, findings: Iterable[Finding], count: int) -> None:
        """What another collector has kept of the `count` that it has counted."""
        self.count += count
        self._kept += findings
        if len(self._kept) > 2 * KEPT_FINDINGS:
            self._kept = self.kept

    @property
    def kept(self) -> list[Finding]:
        """Those with the lowest positions, in order."""
        return sorted(self._kept, key=lambda finding: finding.order)[:KEPT_FINDINGS]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked through, and what was found. Positions are 0 and seals None where there is none."""

    ok: bool
    verified_at: datetime
    head: int
    domain_events: int
    since_seal: int | None
    newest_seal: int | None
    sealed_through: int
    unsealed: int
    # None where a file was verified: it has no tables.
    projections_position: int | None = None
    append_only: str | None = None
    # The ids of the keys that a file's seals are signed with; None where a database was verified.
    signed_by: list[str] | None = None
    findings_count: int
    findings: list[Finding]


def place_of(stream_id: UUID, version: int) -> str:
    """How a finding names a domain event's place in its stream."""
    return f"stream {stream_id}, version {version}"
