"""A third aggregate, as a product one would be: who waits for tickets of an event that is sold out."""

from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Self
from uuid import UUID, uuid5

import msgspec
from eventsourcing.domain import CanInitAggregate
from eventsourcing.utils import register_topic

from domain.commands import Actor, Command
from domain.decision import Decision, Draft, Read
from domain.domain_event import DomainEvent, KeptAggregate
from domain.errors import EventNotFound, Refusal
from domain.ticketed_event import TicketedEvent


class WaitingListOpened(DomainEvent, CanInitAggregate[UUID], frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "WaitingListOpened"
    originator_topic: str = "WaitingList"

    event_id: UUID


class WaitingListJoined(DomainEvent, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "WaitingListJoined"

    event_id: UUID
    buyer_id: UUID


class WaitingListRecord(NamedTuple):
    """Who waits, in order."""

    buyer_ids: tuple[UUID, ...]


class WaitingListShape(msgspec.Struct, frozen=True):
    opened: WaitingListOpened
    buyer_ids: tuple[UUID, ...]


class WaitingList(KeptAggregate):
    """The buyers who wait, the first first."""

    TOPIC = "WaitingList"
    Shape = WaitingListShape

    def __init__(self) -> None:
        self.buyer_ids: tuple[UUID, ...] = ()

    @property
    def size_bytes(self) -> int:
        return 1_000 + 100 * len(self.buyer_ids)

    @property
    def record(self) -> WaitingListRecord:
        return WaitingListRecord(self.buyer_ids)

    def apply(self, domain_event: Any) -> None:
        match domain_event:
            case WaitingListOpened():
                self.opened = domain_event
            case WaitingListJoined(buyer_id=buyer_id):
                self.buyer_ids = (*self.buyer_ids, buyer_id)
            case _:
                super().apply(domain_event)

    def shape(self) -> WaitingListShape:
        return WaitingListShape(self.opened, self.buyer_ids)

    @classmethod
    def restored(cls, shape: WaitingListShape) -> Self:
        waiting_list: Any = shape.opened.mutate(None)
        waiting_list.buyer_ids = shape.buyer_ids
        return waiting_list


register_topic(WaitingList.TOPIC, WaitingList)


def list_id(event_id: UUID) -> UUID:
    """The stream of an event's waiting list."""
    return uuid5(event_id, "waiting list")


class JoinWaitingList(Command, frozen=True, kw_only=True):
    actor: Actor

    @property
    def streams(self) -> tuple[UUID, ...]:
        return (self.event_id, list_id(self.event_id))


class TicketsAreLeft(Refusal):
    """There are {available} tickets left. Reserve some."""

    code = "tickets-are-left"

    def __init__(self, available: int) -> None:
        self.available = available
        super().__init__()


def join(command: JoinWaitingList, read: Read, at: datetime) -> Decision:
    """One place for each buyer, once nothing is left."""
    event = read.find(TicketedEvent)
    waiting_list = read.find(WaitingList, 1)
    if event is None:
        raise EventNotFound
    if available := sum(stock.available for stock in event.stock.values()):
        raise TicketsAreLeft(available)
    draft, stream_id, buyer_id = Draft(command, at), list_id(event.id), command.actor.account_id
    waiting, version = (waiting_list.buyer_ids, waiting_list.version) if waiting_list else ((), 0)
    if waiting_list is None:
        draft.add(WaitingListOpened, stream_id, version, event_id=event.id)
    if buyer_id not in waiting:
        draft.add(WaitingListJoined, stream_id, version, event_id=event.id, buyer_id=buyer_id)
        waiting += (buyer_id,)
    return draft.decision(WaitingListRecord(waiting), stream_id, version)
