"""A catalogue for tests: events as an organiser would announce them, folded into the tables."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from domain.commands import Actor, CancelEvent, PayReservation, ReserveTickets
from domain.event_facts import Limits, SalesWindow
from domain.inventory import TicketType
from eventstore.postgres.connections import Connection
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from tests.projections.histories import NOON, BoxOffice, Command, append


class Programme:
    """Announces events and sells tickets; `fold` shows it all in the tables."""

    def __init__(self) -> None:
        self.office = BoxOffice(1)
        self.pending: list[Command] = []

    def announce(
        self,
        title: str,
        starts_at: datetime = NOON + timedelta(days=1),
        capacity: int = 1_000,
        window: SalesWindow | None = None,
        **details: Any,
    ) -> UUID:
        """An event with free tickets; a start in the past is announced in its own time."""
        create = self.office.create()
        self.office.now = min(NOON, starts_at - timedelta(days=20))
        values = {"title": title, "starts_at": starts_at, "ends_at": starts_at + timedelta(hours=2)}
        blank = dict.fromkeys(("description", "street", "city", "state", "country"))
        offer = TicketType(
            ticket_type_id=self.office.new_id(), name="Standing", capacity=capacity, amount_minor=0, currency="XXX"
        )
        self.pending.append(
            self.office.submit(
                replace(
                    create,
                    details=replace(create.details, **(blank | values | details)),
                    ticket_types=(offer,),
                    sales_window=window or SalesWindow(),
                    limits=Limits(max_per_buyer=1_000, hold_seconds=120),
                )
            )
        )
        self.office.now = NOON
        return create.event_id

    def reserve(self, event_id: UUID, buyer_id: UUID, at: datetime = NOON) -> UUID:
        """One ticket for a buyer, reserved at an instant; returns the reservation."""
        self.office.now = at
        reservation_id = self.office.new_id()
        asked = {"event_id": event_id, "request_id": self.office.new_id(), "actor": Actor(buyer_id)}
        self.pending.append(self.office.submit(ReserveTickets(**asked, reservation_id=reservation_id, quantity=1)))
        return reservation_id

    def pay_last(self, at: datetime) -> None:
        """The reservation that was placed last is paid."""
        reservation_id, event_id = self.office.reservations[-1]
        buyer_id = self.office.aggregates[reservation_id].record.placed.buyer_id
        self.office.now = at
        asked = self.office.asked_by(buyer_id, event_id)
        self.pending.append(self.office.submit(PayReservation(**asked, reservation_id=reservation_id)))

    def call_off(self, event_id: UUID, at: datetime = NOON) -> None:
        event = self.office.aggregates[event_id]
        self.office.now = at
        self.pending.append(
            self.office.submit(CancelEvent(**self.office.asked_by(event.created.organiser_id, event_id)))
        )

    def submit(self, commands: Iterable[Any]) -> None:
        self.pending += [self.office.submit(command) for command in commands]

    async def fold(self, connection: Connection) -> int:
        """Store what is pending and fold it all; returns the position."""
        assert all(self.pending), "a command was refused"
        last = await append(connection, self.pending)
        self.pending = []
        batches = Batches(connection, await checkpoint.read(connection))
        while await batches.fold_next():
            pass
        return last
