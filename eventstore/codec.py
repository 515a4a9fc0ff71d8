"""Domain events to stored rows and back: JSON state, explicit topics, old shapes upcast on reading."""

from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.utils import TopicError
from msgspec.structs import force_setattr

# Every module with domain events or an aggregate that is kept: to import it registers them.
import domain.reservation
import domain.ticketed_event  # noqa: F401
from domain.domain_event import DomainEvent

# Stream and version come first in a domain event and are columns of the history; its state is all that follows.
FIRST_OF_STATE = b'"timestamp"'
STREAM_UNKNOWN = b'{"originator_id":"00000000-0000-0000-0000-000000000000","originator_version":0,'

_json = msgspec.json.Encoder()


def encode(domain_event: DomainEvent) -> bytes:
    """The JSON state of a domain event: all but stream and version, which are columns, and the aggregate's name."""
    whole = _json.encode(domain_event)
    state = b"{" + whole[whole.index(FIRST_OF_STATE) :]
    if domain_event.class_version > 1:
        state = b'%s,"class_version":%d}' % (state[:-1], domain_event.class_version)
    return state


def decode(stream_id: UUID, version: int, topic: str, state: bytes) -> DomainEvent:
    """The domain event that was stored; raises `TopicError` or `msgspec.ValidationError` for what can't be one."""
    cls, decoder = _decoder(topic)
    if cls.class_version > 1:
        state = _upcast(cls, state)
    domain_event = decoder.decode(STREAM_UNKNOWN + state[1:])
    force_setattr(domain_event, "originator_id", stream_id)
    force_setattr(domain_event, "originator_version", version)
    return domain_event


@cache
def _decoder(topic: str) -> tuple[type[DomainEvent], msgspec.json.Decoder[DomainEvent]]:
    # The library's resolve_topic would import whatever module an altered history names.
    cls = next((cls for cls in DomainEvent.__subclasses__() if topic == cls.TOPIC), None)
    if cls is None:
        raise TopicError(f"There is no type of domain event {topic!r}")
    return cls, msgspec.json.Decoder(cls)


def _upcast(cls: type[DomainEvent], state: bytes) -> bytes:
    """The state in the newest shape of its type."""
    facts: dict[str, Any] = msgspec.json.decode(state)
    for older in range(facts.pop("class_version", 1), cls.class_version):
        getattr(cls, f"upcast_v{older}_v{older + 1}")(facts)
    return _json.encode(facts)
