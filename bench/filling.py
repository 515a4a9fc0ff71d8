"""Histories of any size, decided by the domain itself at moments of the caller's choosing, and copied in at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import uuid_utils.compat

from bench.testbed import connect
from domain.commands import Actor, Command, CreateEvent, PayReservation, ReserveTickets
from domain.decide import decide
from domain.decision import Read
from domain.event_facts import EventDetails, Limits, SalesWindow
from domain.inventory import TicketType
from domain.reservation import Reservation
from domain.ticketed_event import TicketedEvent
from eventstore.box_office import POSITION_KEY, BoxOffice
from eventstore.codec import encode

MOST_TICKETS = 10_000_000

LOCK = "SELECT pg_advisory_xact_lock(%(lock_class)s, %(lock_key)s)"
HEAD = "SELECT coalesce(max(notification_id), 0) FROM stored_events"
APPEND = """
COPY stored_events (originator_id, originator_version, topic, state, notification_id, command_position)
FROM STDIN (FORMAT BINARY)
"""
COLUMNS = ("uuid", "int8", "text", "bytea", "int8", "int8")
TELL = "SELECT pg_notify(%s, %s::text)"


class Filling:
    """Commands that are decided in memory and become history when the block of `filling` ends."""

    def __init__(self, write_row: Callable[[tuple[Any, ...]], None], position: int = 0) -> None:
        self._write_row = write_row
        self._organiser_id = uuid4()
        self.position = position

    def open_event(self, at: datetime, *, capacity: int = MOST_TICKETS, hold_seconds: int = 86_400) -> TicketedEvent:
        """A new event that one buyer may have many tickets of, a month after `at`."""
        command = CreateEvent(
            event_id=uuid4(),
            request_id=uuid4(),
            actor=Actor(self._organiser_id),
            details=EventDetails(
                title=f"Filled {uuid4()}",
                starts_at=at + timedelta(days=30),
                ends_at=at + timedelta(days=31),
            ),
            ticket_types=(
                TicketType(
                    ticket_type_id=uuid4(), name="Standing", capacity=capacity, amount_minor=2500, currency="EUR"
                ),
            ),
            sales_window=SalesWindow(),
            limits=Limits(max_per_buyer=1_000, hold_seconds=hold_seconds),
        )
        event = self._record(command, {}, at).mutate(None)
        assert isinstance(event, TicketedEvent)
        return event

    def reserve(self, event: TicketedEvent, buyer_id: UUID, at: datetime, *, pay: bool = False) -> UUID:
        """A reservation of the event, paid at the same moment if wished; its id."""
        reservation_id = uuid_utils.compat.uuid7()
        about: dict[str, Any] = {"event_id": event.id, "actor": Actor(buyer_id), "reservation_id": reservation_id}
        placed = self._record(ReserveTickets(request_id=uuid4(), quantity=1, **about), {event.id: event}, at)
        if pay:
            reservation: Any = placed.mutate(None)
            assert isinstance(reservation, Reservation)
            read = {event.id: event, reservation_id: reservation}
            self._record(PayReservation(request_id=uuid4(), **about), read, at)
        return reservation_id

    def _record(self, command: Command, aggregates: dict[UUID, Any], at: datetime) -> Any:
        """Decide, keep the event up to date and write; returns the command's last domain event."""
        domain_events = decide(command, Read.of(command, aggregates.get), at).domain_events
        command_position = self.position + len(domain_events)
        for domain_event in domain_events:
            self.position += 1
            stream_id, version = domain_event.originator_id, domain_event.originator_version
            row = (stream_id, version, domain_event.TOPIC, encode(domain_event), self.position, command_position)
            self._write_row(row)
            if stream_id == command.event_id and stream_id in aggregates:
                domain_event.mutate(aggregates[stream_id])
        return domain_events[-1]


@contextmanager
def filling(database_url: str) -> Iterator[Filling]:
    """Fill the history in one transaction, which holds up all other writers until its end."""
    with connect(database_url) as connection:
        connection.execute(LOCK, BoxOffice().lock(POSITION_KEY))
        ((head,),) = connection.execute(HEAD).fetchall()
        with connection.cursor().copy(APPEND) as copy:
            copy.set_types(COLUMNS)
            filled = Filling(copy.write_row, head)
            yield filled
        connection.execute(TELL, (BoxOffice().channel, filled.position))
