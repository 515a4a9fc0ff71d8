"""What a decision consists of: what was read for it, the new domain events, and the answer for the one who asked."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from domain.commands import Command
from domain.domain_event import SYSTEM, Aggregate, DomainEvent
from domain.errors import IdempotencyKeyReused

AnyAggregate = TypeVar("AnyAggregate", bound=Aggregate)
AnyDomainEvent = TypeVar("AnyDomainEvent", bound=DomainEvent)
# The record of an aggregate, such as an `EventRecord` or a `ReservationRecord`.
Answer = tuple[Any, ...]


class Read(NamedTuple):
    """What a command reads: the aggregates of its streams, in the order in which it names them; None: there is none.

    `name_holder_id` is the event that has the name which `organising.new_name` gives for this command.
    """

    aggregates: Sequence[Any]
    name_holder_id: UUID | None = None

    @classmethod
    def of(cls, command: Command, get: Callable[[UUID], Any], name_holder_id: UUID | None = None) -> "Read":
        """What this command reads, of aggregates that `get` gives by stream."""
        return cls(tuple(map(get, command.streams + command.short_streams)), name_holder_id)

    def find(self, kind: type[AnyAggregate], place: int = 0) -> AnyAggregate | None:
        """The aggregate in a place; None where there is none, or one of another kind."""
        aggregate = self.aggregates[place]
        # Asked of None, the library's classes would look through their registry.
        return aggregate if aggregate is not None and isinstance(aggregate, kind) else None


class Decision(NamedTuple):
    """`domain_events` is empty when all is recorded already.

    The answer is true as of `version` of stream `stream_id`; `replayed` says that an earlier request recorded it.
    """

    domain_events: tuple[DomainEvent, ...]
    answer: Answer
    stream_id: UUID
    version: int
    replayed: bool = False


class Draft:
    """Collects the domain events of one decision, each numbered next in its stream."""

    def __init__(self, command: Command, at: datetime) -> None:
        self.command = command
        self.at = at
        self.domain_events: list[DomainEvent] = []
        self._actor_id = command.actor_id
        self._added: dict[UUID, int] = {}

    def add(
        self,
        domain_event_type: type[AnyDomainEvent],
        stream_id: UUID,
        last_version: int,
        *,
        by_system: bool = False,
        **facts: Any,
    ) -> AnyDomainEvent:
        """Record a fact after `last_version` of its stream and after what this draft has added to it already."""
        added = self._added[stream_id] = self._added.get(stream_id, 0) + 1
        domain_event = domain_event_type(
            originator_id=stream_id,
            originator_version=last_version + added,
            timestamp=self.at,
            actor_id=SYSTEM if by_system else self._actor_id,
            request_id=self.command.request_id,
            **facts,
        )
        self.domain_events.append(domain_event)
        return domain_event

    def version_after(self, stream_id: UUID, last_version: int) -> int:
        """The version of a stream with what this draft has added to it."""
        return last_version + self._added.get(stream_id, 0)

    def decision(self, answer: Answer, stream_id: UUID, last_version: int) -> Decision:
        """All that was collected, and the answer that it makes true of the stream."""
        return Decision(tuple(self.domain_events), answer, stream_id, self.version_after(stream_id, last_version))


def replay(command: Command, recorded: DomainEvent | None, answer: Answer) -> Decision | None:
    """The first answer again, if `recorded` is this command's own work or that of an earlier one with the same key.

    None when it is neither; raises `IdempotencyKeyReused` when the key came with another request.
    """
    if recorded is None:
        return None
    if recorded.request_id == command.request_id:
        return unchanged(recorded, answer)
    asked, before = command.idempotency, recorded.idempotency
    if asked is None or before is None or asked.key_sha256 != before.key_sha256:
        return None
    if asked.request_sha256 != before.request_sha256:
        raise IdempotencyKeyReused
    return unchanged(recorded, answer)._replace(replayed=True)


def unchanged(recorded: DomainEvent, answer: Answer) -> Decision:
    """Nothing new: the answer that `recorded` gave."""
    return Decision((), answer, recorded.originator_id, recorded.originator_version)
