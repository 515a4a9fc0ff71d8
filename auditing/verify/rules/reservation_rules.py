"""The rules of one reservation, looked at from outside: its life, and both sides of its deadline."""

from collections.abc import Iterable, Iterator
from typing import Any

from auditing.findings import Rule
from domain.reservation import (
    ReservationCancelled,
    ReservationExpired,
    ReservationExtended,
    ReservationPaid,
    ReservationPlaced,
    ReservationRecord,
    ReservationReduced,
)

Broken = tuple[Rule, str]


class ReservationRules:
    """Folds a reservation and says which rules its next domain event breaks. Knows nothing of its event."""

    # Nothing of a reservation is in snapshots.
    kept = None

    def __init__(self) -> None:
        self._record: ReservationRecord | None = None

    def broken_by(self, it: Any) -> Iterable[Broken]:
        """The rules that this domain event breaks, in the state before it."""
        record = self._record
        if isinstance(it, ReservationPlaced):
            return placed_wrongly(record, it)
        assert record is not None  # noqa: S101 - a stream without a beginning is not judged
        if it.event_id != record.placed.event_id:
            return [(Rule.STREAMS_DISAGREE, "It was placed for another event.")]
        match it:
            case ReservationPaid():
                return paid_wrongly(record, it)
            case ReservationExtended():
                return extended_wrongly(record, it)
            case ReservationReduced():
                return reduced_wrongly(record, it)
            case ReservationExpired():
                return expired_wrongly(record, it)
            case ReservationCancelled():
                return cancelled_wrongly(record, it)
        return [(Rule.STREAM_UNKNOWN, f"A reservation has no {it.TOPIC}.")]

    def fold(self, it: Any) -> None:
        """Bring the record up to date; what belongs to no reservation is left out."""
        if isinstance(it, ReservationPlaced):
            self._record = ReservationRecord(it)
        elif self._record is not None and isinstance(it, ReservationPaid):
            self._record = self._record._replace(paid=it)
        elif self._record is not None and isinstance(it, ReservationExtended):
            self._record = self._record._replace(extended=it)
        elif self._record is not None and isinstance(it, ReservationReduced):
            self._record = self._record._replace(reduced=it)
        elif self._record is not None and isinstance(it, ReservationExpired | ReservationCancelled):
            self._record = self._record._replace(ended=it)


def placed_wrongly(record: ReservationRecord | None, placed: ReservationPlaced) -> Iterator[Broken]:
    """What placing it breaks: it is placed once, with one ticket at least, and for some time."""
    if record is not None:
        yield Rule.RESERVATION_LIFE, "It was placed before."
    if placed.hold_expires_at <= placed.timestamp or placed.quantity < 1:
        yield Rule.RESERVATION_LIFE, "It holds no tickets, or for no time."


def paid_wrongly(record: ReservationRecord, paid: ReservationPaid) -> Iterator[Broken]:
    """What its payment breaks: it is paid once, before its deadline, and in full."""
    placed = record.placed
    if record.status != "reserved":
        yield Rule.RESERVATION_LIFE, f"It is paid when it is {record.status}."
    if paid.timestamp >= record.hold_expires_at:
        yield Rule.PAID_LATE, f"It is paid at {paid.timestamp}; it could be until {record.hold_expires_at}."
    if (paid.amount_minor, paid.currency) != (record.amount_minor, placed.currency):
        yield Rule.AMOUNT_WRONG, f"{paid.amount_minor} {paid.currency} are paid instead of {record.amount_minor}."


def extended_wrongly(record: ReservationRecord, extended: ReservationExtended) -> Iterator[Broken]:
    """What its extension breaks: it is extended once, while it is held, and ends later than before."""
    if record.status != "reserved" or record.extended:
        yield Rule.RESERVATION_LIFE, f"It is extended {'again' if record.extended else f'when it is {record.status}'}."
    if extended.timestamp >= record.hold_expires_at:
        yield Rule.EXTENDED_LATE, f"It is extended at {extended.timestamp}; it was over at {record.hold_expires_at}."
    if extended.hold_expires_at <= record.hold_expires_at:
        yield Rule.HOLD_LENGTH, f"Extended, it ends at {extended.hold_expires_at}, not after {record.hold_expires_at}."


def reduced_wrongly(record: ReservationRecord, reduced: ReservationReduced) -> Iterator[Broken]:
    """What giving a part back breaks: as cancelling all of it; and what stays costs its share, the rest is refunded."""
    if record.status not in ("reserved", "paid") or not 0 < reduced.quantity < record.quantity:
        wrong = f"Of {record.quantity} tickets {reduced.quantity} are left when it is {record.status}."
        yield Rule.RESERVATION_LIFE, wrong
    if record.status == "reserved" and reduced.timestamp >= record.hold_expires_at:
        yield Rule.CANCELLED_LATE, f"It is reduced at {reduced.timestamp}; it was over at {record.hold_expires_at}."
    amount_minor = record.amount_minor * reduced.quantity // record.quantity
    refund_due_minor = record.amount_minor - amount_minor if record.paid else 0
    told = (reduced.amount_minor, reduced.refund_due_minor, reduced.currency)
    if told != (amount_minor, refund_due_minor, record.placed.currency):
        wrong = f"What is left costs {reduced.amount_minor} instead of {amount_minor}, with {told[1]} to refund."
        yield Rule.AMOUNT_WRONG, wrong


def expired_wrongly(record: ReservationRecord, expired: ReservationExpired) -> Iterator[Broken]:
    """What its expiry breaks: it expires while it is not paid, and not before its deadline."""
    hold_expires_at = record.hold_expires_at
    if record.status != "reserved":
        yield Rule.RESERVATION_LIFE, f"It expires when it is {record.status}."
    if expired.timestamp < hold_expires_at:
        yield Rule.EXPIRED_EARLY, f"It expires at {expired.timestamp}, before {hold_expires_at}."


def cancelled_wrongly(record: ReservationRecord, cancelled: ReservationCancelled) -> Iterator[Broken]:
    """What its cancellation breaks: it is held, before its deadline, or paid, and then the refund is what was paid."""
    placed, paid = record.placed, record.paid
    if record.status not in ("reserved", "paid"):
        yield Rule.RESERVATION_LIFE, f"It is cancelled when it is {record.status}."
    if record.status == "reserved" and cancelled.timestamp >= record.hold_expires_at:
        yield Rule.CANCELLED_LATE, f"It is cancelled at {cancelled.timestamp}; it was over at {record.hold_expires_at}."
    refund_due_minor = record.amount_minor if paid else 0
    if (cancelled.refund_due_minor, cancelled.currency) != (refund_due_minor, placed.currency):
        yield Rule.AMOUNT_WRONG, f"The refund due is {cancelled.refund_due_minor} instead of {refund_due_minor}."
