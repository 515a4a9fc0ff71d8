"""A second step in a reservation's life, as a later version of the program may record it: told in both streams."""

from typing import Any, ClassVar
from uuid import UUID

from msgspec.structs import replace

from domain.domain_event import DomainEvent


class HoldAnnotated(DomainEvent, frozen=True, kw_only=True):
    """In the stream of the event: how far the reservation's own stream has come."""

    TOPIC: ClassVar[str] = "HoldAnnotated"

    reservation_id: UUID
    reservation_version: int

    def apply(self, aggregate: Any) -> None:
        hold = aggregate.holds[self.reservation_id]
        aggregate.holds[self.reservation_id] = replace(hold, reservation_version=self.reservation_version)


class ReservationAnnotated(DomainEvent, frozen=True, kw_only=True):
    """In the stream of the reservation: what the buyer wished to add."""

    TOPIC: ClassVar[str] = "ReservationAnnotated"

    event_id: UUID
    wish: str

    def apply(self, aggregate: Any) -> None:
        """Nothing that decides on it depends on the wish."""
