"""A box office for tests: accounts made by SQL, commands as people send them, and the history judged as a whole."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import UnionType
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4

from msgspec.structs import replace

from domain.commands import (
    Actor,
    CancelEvent,
    CancelReservation,
    ChangeEvent,
    Command,
    CreateEvent,
    ExpireReservation,
    ExtendReservation,
    PayReservation,
    ReserveTickets,
)
from domain.domain_event import DomainEvent, Idempotency
from domain.event_facts import EventDetails, Limits, SalesWindow
from domain.inventory import TicketType
from domain.reservation import ReservationRecord
from domain.ticketed_event import TicketedEvent
from eventstore.box_office import POSITION_KEY, BoxOffice
from eventstore.postgres.connections import Connection
from eventstore.reading import Recorded, read_after
from eventstore.writing.aggregate_cache import fold
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome

TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
NO_PASSWORD = "none"
REGISTER = """
INSERT INTO accounts (account_id, email, password_hash, name)
SELECT id, id || '@example.org', %(no_password)s, 'Somebody' FROM unnest(%(ids)s::uuid[]) AS id
"""
LOCK_STREAM = "SELECT pg_advisory_lock(%(key)s)"
POSITION_LOCK = BoxOffice().lock(POSITION_KEY)
UNLOCK_ALL = "SELECT pg_advisory_unlock_all()"

T = TypeVar("T")


async def register(connection: Connection, count: int) -> list[UUID]:
    """So many new accounts."""
    ids = [uuid4() for _ in range(count)]
    await connection.execute(REGISTER, {"ids": ids, "no_password": NO_PASSWORD})
    return ids


def create(
    organiser: UUID, *, capacity: int = 100, max_per_buyer: int = 1, hold_seconds: int = 120, **changes: Any
) -> CreateEvent:
    """An event with one ticket type and a title of its own; `changes` are values of the details or of the command."""
    offer = TicketType(ticket_type_id=uuid4(), name="Standing", capacity=capacity, amount_minor=2500, currency="EUR")
    details = EventDetails(title=f"Concert {uuid4()}", starts_at=TOMORROW, ends_at=TOMORROW + timedelta(hours=3))
    limits = Limits(max_per_buyer=max_per_buyer, hold_seconds=hold_seconds)
    of_details = {name: changes.pop(name) for name in list(changes) if name in EventDetails.__struct_fields__}
    command = CreateEvent(
        event_id=uuid4(),
        request_id=uuid4(),
        actor=Actor(organiser),
        details=replace(details, **of_details),
        ticket_types=(offer,),
        sales_window=SalesWindow(),
        limits=limits,
    )
    return replace(command, **changes)


def change(event_id: UUID, organiser: UUID, **changes: Any) -> ChangeEvent:
    return ChangeEvent(event_id=event_id, request_id=uuid4(), actor=Actor(organiser), **changes)


def cancel_event(event_id: UUID, organiser: UUID) -> CancelEvent:
    return CancelEvent(event_id=event_id, request_id=uuid4(), actor=Actor(organiser))


def reserve(event_id: UUID, buyer: UUID, quantity: int = 1, **changes: Any) -> ReserveTickets:
    command = ReserveTickets(
        event_id=event_id, request_id=uuid4(), actor=Actor(buyer), reservation_id=uuid4(), quantity=quantity
    )
    return replace(command, **changes)


def pay(reserved: ReserveTickets, reference: str | None = None) -> PayReservation:
    return PayReservation(**_about(reserved), actor=reserved.actor, payment_reference=reference)


def cancel(reserved: ReserveTickets) -> CancelReservation:
    return CancelReservation(**_about(reserved), actor=reserved.actor)


def extend(reserved: ReserveTickets) -> ExtendReservation:
    return ExtendReservation(**_about(reserved), actor=reserved.actor)


def expire(reserved: ReserveTickets) -> ExpireReservation:
    return ExpireReservation(**_about(reserved))


def _about(reserved: ReserveTickets) -> dict[str, Any]:
    return {"event_id": reserved.event_id, "request_id": uuid4(), "reservation_id": reserved.reservation_id}


def key(text: str, body: str = "the same body") -> Idempotency:
    """What an idempotency key with a request's body leaves in the history."""
    return Idempotency(hashlib.sha256(text.encode()).hexdigest(), hashlib.sha256(body.encode()).hexdigest())


def reservation(outcome: Outcome) -> ReservationRecord:
    """The answer as a reservation."""
    assert isinstance(outcome.answer, ReservationRecord)
    return outcome.answer


async def submit_all(commands: GroupCommit, asked: Iterable[Command]) -> list[Outcome | BaseException]:
    """Send them at the same moment; every answer or exception, in their order."""
    return await asyncio.gather(*(commands.submit(command) for command in asked), return_exceptions=True)


def count(answers: Iterable[object], kind: type | UnionType) -> int:
    """How many of the answers are of a kind."""
    return sum(isinstance(answer, kind) for answer in answers)


async def until(look: Callable[[], Awaitable[T]], seconds: float = 30) -> T:
    """What `look` gives once that is true. Fails when it is not within the bound."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while not (result := await look()):
        assert clock() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.005)
    return result


async def only(connection: Connection, query: str, **values: Any) -> Any:
    """The one value that a query gives."""
    ((value,),) = await (await connection.execute(query, values)).fetchall()
    return value


async def lock_event(connection: Connection, event_id: UUID) -> None:
    """Hold an event as another process's group does, until `unlock` or the connection's end."""
    await connection.execute(LOCK_STREAM, {"key": connection.box_office.stream_key(event_id)})


async def unlock(connection: Connection) -> None:
    await connection.execute(UNLOCK_ALL)


class History(NamedTuple):
    """All that was recorded, in order, by stream, and the events folded from it."""

    records: list[Recorded]
    streams: dict[UUID, list[DomainEvent]]
    events: dict[UUID, TicketedEvent]

    def types(self, stream_id: UUID) -> list[str]:
        """The types of the domain events of a stream, in order."""
        return [domain_event.TOPIC for domain_event in self.streams.get(stream_id, [])]

    def count(self, topic: type[DomainEvent]) -> int:
        """How many domain events of a type there are."""
        return sum(isinstance(record.domain_event, topic) for record in self.records)


async def judged_history(connection: Connection) -> History:
    """The whole history, after seeing that no promise about it is broken at any position."""
    records: list[Recorded] = []
    while page := await read_after(connection, records[-1].position if records else 0, 5_000):
        records += page
    assert [record.position for record in records] == list(range(1, len(records) + 1))
    for before, after in pairwise(records):
        ended = before.position == before.command_position
        assert ended or before.command_position == after.command_position
        same_command = before.domain_event.request_id == after.domain_event.request_id
        assert ended is not same_command, "a command is exactly what one request has recorded"
    streams: dict[UUID, list[DomainEvent]] = {}
    events: dict[UUID, TicketedEvent] = {}
    for record in records:
        _judge(record.domain_event, streams.setdefault(record.domain_event.originator_id, []), events)
    return History(records, streams, events)


def _judge(recorded: DomainEvent, stream: list[DomainEvent], events: dict[UUID, TicketedEvent]) -> None:
    stream_id = recorded.originator_id
    stream.append(recorded)
    assert recorded.originator_version == len(stream), "versions have no hole and no repeat"
    assert len(stream) == 1 or stream[-2].timestamp <= recorded.timestamp, "time never runs backwards in a stream"
    event = fold(events.get(stream_id), recorded)
    if not isinstance(event, TicketedEvent):
        return
    events[stream_id] = event
    for stock in event.stock.values():
        assert 0 <= stock.taken <= stock.capacity, "never oversold"
    assert all(buyer.tickets <= event.limits.max_per_buyer for buyer in event.buyers.values())
