"""Domain events as CloudEvents 1.0 in structured mode, for those who take them into other systems."""

from uuid import UUID

import msgspec

from eventstore.reading import StoredRow
from projections.tables.audit_trail import RESERVATION_TOPICS

CONTENT_TYPE = "application/cloudevents+json"
TYPE_PREFIX = "tixxety."
# As wide as the largest position there can be: sequences are compared as text.
SEQUENCE_DIGITS = 19


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One domain event; `data` is its state exactly as it is stored. Encode it with `msgspec.json`.

    `id` is the position and `sequence` the same with leading zeros (the extension Sequence); `subject` and
    `partitionkey` (the extension Partitioning) are the event that it is about.
    """

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: UUID
    time: str
    datacontenttype: str = "application/json"
    sequence: str
    partitionkey: UUID
    data: msgspec.Raw


class _Known(msgspec.Struct):
    """What is read of a state."""

    timestamp: str
    event_id: UUID | None = None


_known = msgspec.json.Decoder(_Known)


def cloud_event(row: StoredRow) -> CloudEvent:
    """The same domain event for others. Raises `msgspec.DecodeError` for a state that can't be a domain event's."""
    known = _known.decode(row.state)
    is_of_reservation = row.topic in RESERVATION_TOPICS
    event_id = known.event_id if is_of_reservation and known.event_id else row.stream_id
    return CloudEvent(
        id=str(row.position),
        source=f"/{'reservations' if is_of_reservation else 'events'}/{row.stream_id}",
        type=TYPE_PREFIX + row.topic,
        subject=event_id,
        time=known.timestamp,
        sequence=f"{row.position:0{SEQUENCE_DIGITS}}",
        partitionkey=event_id,
        data=msgspec.Raw(row.state),
    )
