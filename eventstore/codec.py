"""Domain events to stored rows and back: JSON state, explicit topics, old shapes upcast on reading."""

from typing import Any, cast
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, StoredEvent
from eventsourcing.utils import resolve_topic

import domain.reservation  # registers its topics
import domain.ticketed_event  # noqa: F401
from domain.aggregate import DomainEvent

NOT_IN_STATE = frozenset({"originator_id", "originator_version", "originator_topic"})

_json = msgspec.json.Encoder()


def encode(domain_event: DomainEvent) -> bytes:
    """The JSON state of a domain event: all but stream and version, which are columns, and the aggregate's name."""
    state = msgspec.structs.asdict(domain_event)
    state = {name: value for name, value in state.items() if value is not None and name not in NOT_IN_STATE}
    if domain_event.class_version > 1:
        state["class_version"] = domain_event.class_version
    return _json.encode(state)


def decode(stream_id: UUID, version: int, topic: str, state: bytes) -> DomainEvent:
    """The domain event that was stored; raises `TopicError` or `msgspec.ValidationError` for what can't be one."""
    facts: dict[str, Any] = msgspec.json.decode(state)
    cls = cast(type[DomainEvent], resolve_topic(topic))
    for older in range(facts.pop("class_version", 1), cls.class_version):
        getattr(cls, f"upcast_v{older}_v{older + 1}")(facts)
    facts["originator_id"] = stream_id
    facts["originator_version"] = version
    return msgspec.convert(facts, cls)


class HistoryMapper(Mapper[UUID]):
    """Lets the eventsourcing library's own `Application` read and write our table: its `MAPPER_TOPIC`."""

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        ours = cast(DomainEvent, domain_event)
        return StoredEvent(ours.originator_id, ours.originator_version, ours.TOPIC, encode(ours))

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        stream_id = cast(UUID, stored_event.originator_id)
        stored = decode(stream_id, stored_event.originator_version, stored_event.topic, stored_event.state)
        return cast(DomainEventProtocol[UUID], stored)
