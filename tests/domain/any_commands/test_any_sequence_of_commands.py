"""Any sequence of commands, in any order, at any time and repeated at will, breaks no rule and is recorded once."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from domain.commands import (
    Actor,
    AddTicketType,
    CancelEvent,
    CancelReservation,
    ChangeEvent,
    Command,
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
from domain.decision import Decision
from domain.errors import IdempotencyKeyReused
from domain.event_facts import EventDetails, Limits, SalesWindow
from domain.inventory import TicketType
from tests.domain.any_commands.box_office import BoxOffice
from tests.domain.any_commands.strategies import (
    STEP,
    TITLES,
    UNKNOWN,
    anyone,
    buyer_or,
    capacities_of_types,
    capacity_changes,
    changes,
    edition_offsets,
    event_places,
    hold_seconds,
    keys,
    newest_first,
    no_changes,
    organisers,
    parts,
    passing,
    price_changes,
    quantities,
    references,
    timetables,
    type_names,
    type_places,
)
from tests.domain.builders import ADMIN, ANN, INSTANT, NOON, ORGANISER, UNKNOWN_TYPE_ID, key


class AnySequenceOfCommands(RuleBasedStateMachine):
    """Three buyers, two events, a clock that stands still, runs and jumps back; all checks are the box office's."""

    def __init__(self) -> None:
        super().__init__()
        self.office = BoxOffice()
        self.now = NOON
        self.ids = (UUID(int=n) for n in count(0x1000))
        self.sent: list[Command] = []

    def send(self, command: Command) -> None:
        self.sent.append(command)
        self.office.send(command, self.now)

    def event_id(self, place: int) -> UUID:
        """One of the events; now and then one that is not there."""
        event_ids = list(self.office.books.events)
        return UUID(int=0xE9) if place == UNKNOWN else event_ids[place % len(event_ids)]

    def type_id(self, event_id: UUID, place: int | None) -> UUID | None:
        book = self.office.books.events.get(event_id)
        if place is None or book is None:
            return None
        return UNKNOWN_TYPE_ID if place == UNKNOWN else list(book.capacities)[place % len(book.capacities)]

    def editions(self, event_id: UUID, offset: int | None) -> frozenset[int] | None:
        book = self.office.books.events.get(event_id)
        return None if offset is None else frozenset({(book.edition if book else 1) - offset})

    def about(self, actor: UUID | None, key_text: str | None, route: str, body: Any) -> dict[str, Any]:
        """The request's id, its key and who asks; a key counts per account and route."""
        idempotency = key(f"{actor} {route} {key_text}", repr(body)) if key_text else None
        actors = {"actor": Actor(actor, actor == ADMIN)} if actor else {}
        return {"request_id": next(self.ids), "idempotency": idempotency, **actors}

    def id_from(self, about: dict[str, Any]) -> UUID:
        """The id of what a command creates is derived from its key, if it has one."""
        idempotency = about["idempotency"]
        return uuid5(NAMESPACE_OID, idempotency.key_sha256) if idempotency else next(self.ids)

    def pass_time(self, passes: timedelta) -> None:
        self.now = max(self.now + passes, NOON)

    @initialize(capacities=capacities_of_types, max_per_buyer=st.integers(1, 3), seconds=hold_seconds)
    def open_with_an_event(self, capacities: list[int], max_per_buyer: int, seconds: int) -> None:
        details = EventDetails(title=TITLES[0], starts_at=NOON + 20 * STEP, ends_at=NOON + 30 * STEP)
        self.create(ORGANISER, (details, SalesWindow()), capacities, max_per_buyer, seconds, None)

    @precondition(lambda self: len(self.office.books.events) < 2)
    @rule(
        organiser=st.sampled_from([ORGANISER, ORGANISER, ANN]),
        timetable=timetables(),
        capacities=capacities_of_types,
        max_per_buyer=st.integers(1, 4),
        seconds=hold_seconds,
        key_text=keys,
    )
    def create(
        self,
        organiser: UUID,
        timetable: tuple[EventDetails, SalesWindow],
        capacities: list[int],
        max_per_buyer: int,
        seconds: int,
        key_text: str | None,
    ) -> None:
        about = self.about(organiser, key_text, "create", (timetable, capacities, max_per_buyer, seconds))
        ticket_types = tuple(
            TicketType(ticket_type_id=next(self.ids), name=f"T{n}", capacity=c, amount_minor=700 * n, currency="EUR")
            for n, c in enumerate(capacities, start=1)
        )
        details, window = timetable
        limits = Limits(max_per_buyer=max_per_buyer, hold_seconds=seconds, hold_extension_seconds=seconds % 300)
        event_id = self.id_from(about)
        self.send(
            CreateEvent(
                event_id=event_id,
                details=details,
                ticket_types=ticket_types,
                sales_window=window,
                limits=limits,
                **about,
            )
        )

    @rule(
        organiser=organisers,
        place=event_places,
        asked=no_changes | changes,
        capacities=capacity_changes,
        prices=price_changes,
        passes=passing,
        offset=edition_offsets,
    )
    def change(
        self,
        organiser: UUID,
        place: int,
        asked: dict[str, Any],
        capacities: dict[int | None, int],
        prices: dict[int, int],
        passes: timedelta,
        offset: int | None,
    ) -> None:
        self.pass_time(passes)
        event_id = self.event_id(place)
        by_type = {self.type_id(event_id, type_place): capacity for type_place, capacity in capacities.items()}
        by_total: dict[str, Any]
        by_total = {"total_tickets": by_type[None]} if None in by_type else {"capacities": by_type}
        by_total["prices"] = {self.type_id(event_id, type_place): price for type_place, price in prices.items()}
        about = self.about(organiser, None, "change", None)
        editions = self.editions(event_id, offset)
        self.send(ChangeEvent(event_id=event_id, editions=editions, **about, **asked, **by_total))

    @rule(
        organiser=organisers,
        place=event_places,
        name=type_names,
        capacity=st.integers(1, 3),
        key_text=keys,
        offset=edition_offsets,
        passes=passing,
    )
    def add_type(
        self,
        organiser: UUID,
        place: int,
        name: str,
        capacity: int,
        key_text: str | None,
        offset: int | None,
        passes: timedelta,
    ) -> None:
        """The organiser adds a ticket type."""
        self.pass_time(passes)
        event_id = self.event_id(place)
        about = self.about(organiser, key_text, f"add a type {event_id}", (name, capacity))
        type_id = self.id_from(about)
        offer = TicketType(ticket_type_id=type_id, name=name, capacity=capacity, amount_minor=300, currency="EUR")
        editions = self.editions(event_id, offset)
        self.send(AddTicketType(event_id=event_id, ticket_type=offer, editions=editions, **about))

    @rule(
        returns=st.booleans(),
        organiser=organisers,
        place=event_places,
        type_place=type_places,
        quantity=quantities,
        key_text=keys,
        offset=edition_offsets,
        passes=passing,
    )
    def move(
        self,
        returns: bool,
        organiser: UUID,
        place: int,
        type_place: int | None,
        quantity: int,
        key_text: str | None,
        offset: int | None,
        passes: timedelta,
    ) -> None:
        """The organiser withholds tickets or returns them."""
        self.pass_time(passes)
        event_id = self.event_id(place)
        type_id, moving = self.type_id(event_id, type_place), ReturnTickets if returns else WithholdTickets
        about = self.about(organiser, key_text, f"{moving.__name__} {event_id}", (type_id, quantity))
        editions = self.editions(event_id, offset)
        self.send(moving(event_id=event_id, ticket_type_id=type_id, quantity=quantity, editions=editions, **about))

    @precondition(lambda self: len(self.sent) > 20)
    @rule(organiser=organisers, place=event_places, key_text=keys, offset=edition_offsets)
    def cancel_event(self, organiser: UUID, place: int, key_text: str | None, offset: int | None) -> None:
        event_id = self.event_id(place)
        about = self.about(organiser, key_text, f"cancel {event_id}", None)
        self.send(CancelEvent(event_id=event_id, editions=self.editions(event_id, offset), **about))

    @rule(buyer=anyone, place=event_places, type_place=type_places, quantity=quantities, key_text=keys, passes=passing)
    def reserve(
        self,
        buyer: UUID,
        place: int,
        type_place: int | None,
        quantity: int,
        key_text: str | None,
        passes: timedelta,
    ) -> None:
        self.pass_time(passes)
        event_id = self.event_id(place)
        type_id = self.type_id(event_id, type_place)
        about = self.about(buyer, key_text, "reserve", (event_id, type_id, quantity))
        reservation_id = self.id_from(about)
        self.send(
            ReserveTickets(
                event_id=event_id, reservation_id=reservation_id, quantity=quantity, ticket_type_id=type_id, **about
            )
        )

    @rule(buyer=anyone, type_place=type_places, passes=passing)
    def reserve_one(self, buyer: UUID, type_place: int | None, passes: timedelta) -> None:
        self.reserve(buyer, 1, type_place, 1, None, passes)

    def reservation(self, place: int) -> tuple[UUID, UUID, UUID]:
        """One of the newest reservations, its event and its buyer; now and then one that is not at this event."""
        claims, event_ids = list(self.office.books.claims.values()), list(self.office.books.events)
        claim = claims[-1 - place % len(claims)]
        elsewhere = [event_id for event_id in event_ids if event_id != claim.event_id]
        if place != UNKNOWN:
            return claim.held.reservation_id, claim.event_id, claim.held.buyer_id
        return claim.held.reservation_id if elsewhere else UUID(int=0xE8), [*elsewhere, claim.event_id][0], ANN

    @precondition(lambda self: self.office.books.claims)
    @rule(place=newest_first, by=buyer_or, reference=references, key_text=keys, passes=passing)
    def pay(self, place: int, by: UUID | None, reference: str | None, key_text: str | None, passes: timedelta) -> None:
        self.pass_time(passes)
        reservation_id, event_id, buyer_id = self.reservation(place)
        about = self.about(by or buyer_id, key_text, f"pay {reservation_id}", reference)
        self.send(
            PayReservation(event_id=event_id, reservation_id=reservation_id, payment_reference=reference, **about)
        )

    @precondition(lambda self: self.office.books.claims)
    @rule(place=newest_first, by=buyer_or, key_text=keys, passes=passing)
    def extend(self, place: int, by: UUID | None, key_text: str | None, passes: timedelta) -> None:
        self.pass_time(passes)
        reservation_id, event_id, buyer_id = self.reservation(place)
        about = self.about(by or buyer_id, key_text, f"extend {reservation_id}", None)
        self.send(ExtendReservation(event_id=event_id, reservation_id=reservation_id, **about))

    @precondition(lambda self: self.office.books.claims)
    @rule(place=newest_first, by=buyer_or, key_text=keys, passes=passing, quantity=parts)
    def cancel(
        self, place: int, by: UUID | None, key_text: str | None, passes: timedelta, quantity: int | None
    ) -> None:
        self.pass_time(passes)
        reservation_id, event_id, buyer_id = self.reservation(place)
        about = self.about(by or buyer_id, key_text, f"cancel {reservation_id}", quantity)
        self.send(CancelReservation(event_id=event_id, reservation_id=reservation_id, quantity=quantity, **about))

    @precondition(lambda self: self.office.books.claims)
    @rule(place=newest_first, by=organisers, key_text=keys, passes=passing)
    def revoke(self, place: int, by: UUID, key_text: str | None, passes: timedelta) -> None:
        """The organiser cancels a reservation."""
        self.pass_time(passes)
        reservation_id, event_id, _ = self.reservation(place)
        about = self.about(by, key_text, f"revoke {reservation_id}", None)
        self.send(RevokeReservation(event_id=event_id, reservation_id=reservation_id, **about))

    @precondition(lambda self: self.office.books.claims)
    @rule(place=newest_first, passes=passing, withdraws=st.booleans())
    def end(self, place: int, passes: timedelta, withdraws: bool) -> None:
        """The system expires or withdraws."""
        self.pass_time(passes)
        reservation_id, event_id, _ = self.reservation(place)
        ending = WithdrawReservation if withdraws else ExpireReservation
        self.send(ending(event_id=event_id, reservation_id=reservation_id, request_id=next(self.ids)))

    @precondition(lambda self: self.office.books.claims)
    @rule(passes=passing)
    def work(self, passes: timedelta) -> None:
        """The system ends whatever is due or was called off."""
        self.pass_time(passes)
        for reservation_id, claim in list(self.office.books.claims.items()):
            is_cancelled = self.office.books.events[claim.event_id].is_cancelled
            ending = WithdrawReservation if is_cancelled else ExpireReservation
            self.send(ending(event_id=claim.event_id, reservation_id=reservation_id, request_id=next(self.ids)))

    @rule(passes=passing)
    def wait(self, passes: timedelta) -> None:
        self.pass_time(passes)

    @rule(place=newest_first, offset=st.sampled_from([-INSTANT, timedelta(0), INSTANT]))
    def wait_for_a_deadline(self, place: int, offset: timedelta) -> None:
        books = self.office.books
        deadlines: set[datetime] = {claim.hold_expires_at for claim in books.claims.values()}
        for book in books.events.values():
            window = (book.window.sales_open_at, book.window.sales_close_at)
            deadlines |= {book.details.starts_at, book.details.ends_at, *(instant for instant in window if instant)}
        if deadlines:
            nearest_first = sorted(deadlines, key=lambda instant: (abs(instant - self.now), instant))
            self.now = max(NOON, nearest_first[place % len(deadlines)] + offset)

    @precondition(lambda self: self.office.books.claims)
    @rule(place=newest_first)
    def send_again(self, place: int) -> None:
        self.office.send(self.sent[-1 - place % len(self.sent)], self.now)

    @precondition(lambda self: self.office.books.claims)
    @rule(place=newest_first, is_late=st.booleans())
    def send_again_what_was_recorded(self, place: int, is_late: bool) -> None:
        command, first = self.recorded(place)
        if is_late and command.idempotency:
            command = replace(command, request_id=next(self.ids))
        again = self.office.send(command, self.now)
        assert isinstance(again, Decision)
        assert again.domain_events == ()
        # A change is answered with the event as it stands.
        if not isinstance(command, ChangeEvent | WithholdTickets | ReturnTickets | AddTicketType):
            assert again[1:4] == first[1:4]

    @precondition(lambda self: any(command.idempotency for command, _ in self.office.first_answers))
    @rule(place=newest_first)
    def send_another_body_with_a_key_that_was_used(self, place: int) -> None:
        keyed = [(c, c.idempotency) for c, _ in self.office.first_answers if c.idempotency]
        command, idempotency = keyed[-1 - place % len(keyed)]
        other = replace(idempotency, request_sha256="0" * 64)
        outcome = self.office.send(replace(command, request_id=next(self.ids), idempotency=other), self.now)
        assert isinstance(outcome, IdempotencyKeyReused)

    def recorded(self, place: int) -> tuple[Command, Decision]:
        """One of the newest commands that recorded something; the creation of an event when there is no other."""
        newest = [pair for pair in self.office.first_answers if not isinstance(pair[0], CreateEvent)]
        newest = newest if newest and place != UNKNOWN else self.office.first_answers
        return newest[-1 - place % len(newest)]

    def teardown(self) -> None:
        self.office.agree()
        self.office.refold()


# A failure is made as short as possible before it is told, which may take minutes.
TestAnySequenceOfCommands = pytest.mark.timeout(1_800)(AnySequenceOfCommands.TestCase)
