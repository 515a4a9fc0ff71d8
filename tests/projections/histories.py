"""Random histories: commands decided in memory one after the other, and stored as the box office would."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from domain.commands import (
    Actor,
    AddTicketType,
    CancelEvent,
    CancelReservation,
    ChangeEvent,
    CreateEvent,
    ExpireReservation,
    ExtendReservation,
    PayReservation,
    ReserveTickets,
    ReturnTickets,
    RevokeReservation,
    WithdrawReservation,
    WithholdTickets,
)
from domain.commands import Command as AnyCommand
from domain.decide import decide
from domain.decision import Read
from domain.domain_event import DomainEvent
from domain.errors import Refusal
from domain.event_facts import EventDetails, Limits, SalesWindow
from domain.inventory import TicketType
from eventstore.box_office import POSITION_KEY
from eventstore.codec import encode
from eventstore.postgres.connections import Connection

Command = Sequence[DomainEvent]

NOON = datetime(2035, 6, 1, 12, tzinfo=UTC)
TITLES = ("Night of Strings", "100% Funk", "snake_case & friends", "Æther\nBand", 'Say "\\o/"')
PLACES = (None, "Ghent", "ghent", "Lyon")

APPEND = """
SELECT append(%(ids)s::uuid[], %(versions)s::bigint[], %(topics)s::text[], %(states)s::bytea[],
              %(command_ends)s::bigint[], %(lock_class)s, %(lock_key)s)
"""


class BoxOffice:
    """Every kind of command, on few events and buyers, so that they meet; time goes on between any two."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = NOON
        self.aggregates: dict[UUID, Any] = {}
        self.accounts = [self.new_id() for _ in range(4)]
        self.events: list[UUID] = []
        self.reservations: list[tuple[UUID, UUID]] = []

    def new_id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def commands(self, count: int) -> list[Command]:
        """So many commands that were not refused and recorded something."""
        recorded: list[Command] = []
        while len(recorded) < count:
            if domain_events := self.submit(self.any_command()):
                recorded.append(domain_events)
        return recorded

    def submit(self, command: AnyCommand) -> Command:
        """Decide a command a while after the one before; what it records, nothing when it is refused."""
        self.now += timedelta(seconds=self.random.choice((0, 0.5, 7)))
        try:
            decision = decide(command, Read.of(command, self.aggregates.get), self.now)
        except Refusal:
            return ()
        for domain_event in decision.domain_events:
            stream_id = domain_event.originator_id
            self.aggregates[stream_id] = domain_event.mutate(self.aggregates.get(stream_id))
        if decision.domain_events and isinstance(command, CreateEvent):
            self.events.append(command.event_id)
        if decision.domain_events and isinstance(command, ReserveTickets):
            self.reservations.append((command.reservation_id, command.event_id))
        return decision.domain_events

    def any_command(self) -> AnyCommand:
        if not self.events:
            return self.create()
        kinds = [self.reserve, self.end, self.pay, self.extend, self.change, self.create, self.cancel_event, self.move]
        (kind,) = self.random.choices(kinds, weights=[50, 25, 20, 15, 8, 3, 1, 4])
        needs_reservations = (self.end, self.pay, self.extend)
        return kind() if self.reservations or kind not in needs_reservations else self.reserve()

    def create(self) -> CreateEvent:
        starts_at = self.now + timedelta(hours=self.random.randint(1, 3))
        choose = self.random.choice
        ticket_types = tuple(
            TicketType(
                ticket_type_id=self.new_id(),
                name=name,
                capacity=self.random.randint(1, 30),
                amount_minor=choose((0, 2500, 10**12)),
                currency="EUR",
            )
            for name in choose((("Standing",), ("Standing", "Seated"), ("A", "B", "C")))
        )
        details = EventDetails(
            title=choose(TITLES),
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=2),
            description=choose((None, "for\tall\n\u2028ages")),
            city=choose(PLACES),
            country=choose(PLACES),
            time_zone=choose(("UTC", "Europe/Riga")),
        )
        return CreateEvent(
            **self.asked_by(choose(self.accounts), self.new_id()),
            details=details,
            ticket_types=ticket_types,
            sales_window=SalesWindow(sales_close_at=choose((None, details.ends_at))),
            limits=Limits(
                max_per_buyer=choose((2, 20)),
                hold_seconds=choose((10, 120)),
                hold_extension_seconds=choose((0, 30, 60)),
            ),
        )

    def change(self) -> ChangeEvent:
        event = self.aggregates[self.random.choice(self.events)]
        ticket_type_id = self.random.choice(list(event.stock))
        changes: dict[str, Any] = self.random.choice(
            (
                {"title": self.random.choice(TITLES)},
                {"description": None, "city": "Paris", "state": "IDF", "time_zone": "Europe/Paris"},
                {"max_per_buyer": self.random.randint(1, 9)},
                {"prices": {ticket_type_id: self.random.choice((0, 2600, 10**12))}},
                {"sales_open_at": self.now - timedelta(hours=1), "sales_close_at": event.ends_at},
                {"capacities": {ticket_type_id: self.random.randint(1, 40)}, "hold_seconds": 60, "street": "High 1"},
            )
        )
        return ChangeEvent(**self.asked_by(event.created.organiser_id, event.id), **changes)

    def move(self) -> WithholdTickets | ReturnTickets | AddTicketType:
        """Add to what is for sale, or take from it."""
        event = self.aggregates[self.random.choice(self.events[-4:])]
        asked = self.asked_by(event.created.organiser_id, event.id)
        if self.random.random() < 0.3:
            offer = next(iter(event.stock.values())).offer
            name, capacity = f"Row {len(event.stock)}", self.random.randint(1, 9)
            return AddTicketType(
                **asked, ticket_type=replace(offer, ticket_type_id=self.new_id(), name=name, capacity=capacity)
            )
        asked["ticket_type_id"] = ticket_type_id = self.random.choice(list(event.stock))
        withheld = event.stock[ticket_type_id].withheld
        if withheld and self.random.random() < 0.6:
            return ReturnTickets(**asked, quantity=self.random.randint(1, withheld))
        return WithholdTickets(**asked, quantity=self.random.randint(1, 3))

    def cancel_event(self) -> CancelEvent:
        event = self.aggregates[self.random.choice(self.events)]
        return CancelEvent(**self.asked_by(event.created.organiser_id, event.id))

    def reserve(self) -> ReserveTickets:
        event = self.aggregates[self.random.choice(self.events[-4:])]
        return ReserveTickets(
            **self.asked_by(self.random.choice(self.accounts), event.id),
            reservation_id=self.new_id(),
            quantity=self.random.randint(1, 4),
            ticket_type_id=self.random.choice(list(event.stock)),
        )

    def pay(self) -> PayReservation:
        reservation_id, event_id = self.random.choice(self.reservations[-6:])
        buyer_id = self.aggregates[reservation_id].record.placed.buyer_id
        reference = self.random.choice((None, "ref {1}"))
        return PayReservation(
            **self.asked_by(buyer_id, event_id), reservation_id=reservation_id, payment_reference=reference
        )

    def extend(self) -> ExtendReservation:
        reservation_id, event_id = self.random.choice(self.reservations[-2:])
        buyer_id = self.aggregates[reservation_id].record.placed.buyer_id
        return ExtendReservation(**self.asked_by(buyer_id, event_id), reservation_id=reservation_id)

    def end(self) -> AnyCommand:
        reservation_id, event_id = self.random.choice(self.reservations[-20:])
        kind = self.random.choice((CancelReservation, ExpireReservation, WithdrawReservation, RevokeReservation))
        if kind is RevokeReservation:
            organiser_id = self.aggregates[event_id].created.organiser_id
            return RevokeReservation(**self.asked_by(organiser_id, event_id), reservation_id=reservation_id)
        if kind is CancelReservation:
            buyer_id = self.aggregates[reservation_id].record.placed.buyer_id
            quantity = self.random.choice((None, 1, 1, 2))
            asked = self.asked_by(buyer_id, event_id)
            return CancelReservation(**asked, reservation_id=reservation_id, quantity=quantity)
        return kind(event_id=event_id, request_id=self.new_id(), reservation_id=reservation_id)

    def asked_by(self, account_id: UUID, event_id: UUID) -> dict[str, Any]:
        return {"actor": Actor(account_id), "event_id": event_id, "request_id": self.new_id()}


async def append(connection: Connection, commands: Iterable[Command]) -> int:
    """Store commands in one append; returns the last position."""
    rows = [(domain_event, end) for command, end in with_ends(commands) for domain_event in command]
    values = {
        "ids": [domain_event.originator_id for domain_event, _ in rows],
        "versions": [domain_event.originator_version for domain_event, _ in rows],
        "topics": [domain_event.TOPIC for domain_event, _ in rows],
        "states": [encode(domain_event) for domain_event, _ in rows],
        "command_ends": [end for _, end in rows],
        **connection.box_office.lock(POSITION_KEY),
    }
    ((before,),) = await (await connection.execute(APPEND, values)).fetchall()
    return int(before) + len(rows)


def with_ends(commands: Iterable[Command]) -> list[tuple[Command, int]]:
    """Each command with the number of domain events up to its own end."""
    pairs, end = [], 0
    for command in commands:
        end += len(command)
        pairs.append((command, end))
    return pairs
