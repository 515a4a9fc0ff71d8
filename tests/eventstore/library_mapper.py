"""The eventsourcing library's way into our table."""

from typing import cast
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, StoredEvent

from domain.domain_event import DomainEvent
from eventstore.codec import decode, encode


class HistoryMapper(Mapper[UUID]):
    """Lets the eventsourcing library's own `Application` read and write our table: its `MAPPER_TOPIC`."""

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        ours = cast(DomainEvent, domain_event)
        return StoredEvent(ours.originator_id, ours.originator_version, ours.TOPIC, encode(ours))

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        stream_id = cast(UUID, stored_event.originator_id)
        stored = decode(stream_id, stored_event.originator_version, stored_event.topic, stored_event.state)
        return cast(DomainEventProtocol[UUID], stored)
