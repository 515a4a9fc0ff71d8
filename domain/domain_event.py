"""The base of every domain event: typed, immutable, and at home in the eventsourcing library."""

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

import msgspec
from eventsourcing.domain import BaseAggregate, CanMutateAggregate
from eventsourcing.utils import register_topic

SYSTEM = "system"


class Idempotency(msgspec.Struct, frozen=True):
    """What a command leaves of its `Idempotency-Key`: both are SHA-256 in hexadecimal, the key itself is not kept.

    `key_sha256` covers account, route, path ids and key; `request_sha256` covers route, path ids and the parsed body.
    """

    key_sha256: str
    request_sha256: str


class DomainEvent(msgspec.Struct, CanMutateAggregate[UUID], frozen=True, kw_only=True, omit_defaults=True):
    """A fact that was recorded. Its stream and version are columns of the history; all else is its JSON state.

    `TOPIC` is the stored type name and never changes; `class_version` above 1 calls for `upcast_vN_vM` methods.
    """

    TOPIC: ClassVar[str]
    class_version: ClassVar[int] = 1

    originator_id: UUID
    originator_version: int
    timestamp: datetime
    actor_id: str
    request_id: UUID
    idempotency: Idempotency | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__()
        register_topic(cls.TOPIC, cls)

    def apply(self, aggregate: Any) -> None:
        """Hand the fact to its aggregate, which changes its state and has no rule to refuse by."""
        aggregate.apply(self)

    def _as_dict(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)


class Aggregate(BaseAggregate[UUID]):
    """State folded from one stream. Only `apply` changes it; decisions live in functions beside it."""

    def apply(self, domain_event: Any) -> None:
        """Fold one domain event into the state; never refuses."""
        raise AssertionError(f"{type(self).__name__} cannot fold {domain_event!r}")


class KeptAggregate(Aggregate):
    """An aggregate whose stream grows long: processes keep it in memory, and the worker takes snapshots of it.

    A snapshot is its `Shape`, which has all of its state, under its `TOPIC`, which never changes.
    """

    TOPIC: ClassVar[str]
    Shape: ClassVar[type[msgspec.Struct]]

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        raise AssertionError(f"{type(self).__name__} has no size")

    def shape(self) -> msgspec.Struct:
        """Its state as it is now; shares with it what can change."""
        raise AssertionError(f"{type(self).__name__} has no shape")

    @classmethod
    def restored(cls, shape: Any) -> Self:
        """The aggregate with the state of a shape; its version and time of change are the caller's."""
        raise AssertionError(f"{cls.__name__} has no shape")
