"""A box office in memory: decides commands, records, and compares aggregates, books and oracle after each of them."""

from collections import defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.commands import ChangeEvent, Command, CreateEvent, ReserveTickets
from domain.decide import decide
from domain.decision import Decision, Read
from domain.domain_event import DomainEvent
from domain.errors import LimitPerBuyer, Refusal
from domain.event_facts import TicketsReleased
from domain.inventory import Hold
from domain.organising import new_name
from domain.ticketed_event import TicketedEvent
from eventstore.codec import decode, encode
from tests.domain.any_commands.bookkeeping import Books
from tests.domain.any_commands.oracle import earlier_work, expected, is_each_hold_needed, is_same_request, objections
from tests.domain.given_when_then import snapshot

STATUS = {
    "held": "reserved",
    "sold": "paid",
    "expired": "expired",
    "buyer": "cancelled",
    "organiser": "cancelled",
    "event-cancelled": "cancelled",
}


class BoxOffice:
    """Every command goes through `send`, and every check is made there."""

    def __init__(self) -> None:
        self.books = Books()
        self.aggregates: dict[UUID, Any] = {}
        self.first_answers: list[tuple[Command, Decision]] = []

    def send(self, command: Command, now: datetime) -> Decision | Refusal:
        """Decide, check the answer against the oracle, record."""
        stream = self.books.streams.get(command.event_id)
        at = max(now, stream[-1].timestamp) if stream else now
        name_holder_id = self._name_holder(command)
        before = self._state_of(command)
        outcome = self._decide(command, now, name_holder_id)
        assert outcome == self._decide(command, now, name_holder_id) or isinstance(outcome, Refusal)
        assert self._state_of(command) == before

        if isinstance(command, CreateEvent | ChangeEvent):
            is_name_taken = name_holder_id is not None and name_holder_id != command.event_id
            codes = objections(self.books, command, at, is_name_taken)
            assert (outcome.code in codes) if isinstance(outcome, Refusal) else not codes
        else:
            self._compare(command, outcome, expected(self.books, command, at))
        if isinstance(outcome, Decision):
            earlier = earlier_work(self.books, command)
            assert outcome.replayed == (earlier is not None and not is_same_request(earlier, command))
            self._record(command, outcome, at)
        return outcome

    def _decide(self, command: Command, now: datetime, name_holder_id: UUID | None) -> Decision | Refusal:
        try:
            return decide(command, Read.of(command, self.aggregates.get, name_holder_id), now)
        except Refusal as refusal:
            return refusal

    def _state_of(self, command: Command) -> list[Any]:
        return [snapshot(aggregate) for aggregate in Read.of(command, self.aggregates.get).aggregates if aggregate]

    def _name_holder(self, command: Command) -> UUID | None:
        """The event that is not cancelled and has the name this command wants."""
        if not isinstance(command, CreateEvent | ChangeEvent):
            return None
        name = new_name(command, self.aggregates.get(command.event_id))
        for event_id, book in self.books.events.items():
            its_name = (book.created.organiser_id, book.details.title.strip().lower(), book.details.starts_at)
            if name == its_name and not book.is_cancelled:
                return event_id
        return None

    def _compare(self, command: Command, outcome: Decision | Refusal, wanted: Refusal | str | None) -> None:
        if isinstance(wanted, Refusal):
            assert isinstance(outcome, Refusal), f"not refused with {wanted!r}"
            assert type(outcome) is type(wanted)
            facts = dict(outcome.facts)
            if isinstance(outcome, LimitPerBuyer) and (named := facts.pop("reservation_id")):
                assert named in self._reservations_with_tickets(command)
            assert facts == {name: value for name, value in wanted.facts.items() if name in facts}
            return
        assert isinstance(outcome, Decision), f"refused: {outcome!r}"
        if wanted is None:
            assert outcome.domain_events == ()
        else:
            assert outcome.domain_events
            assert {outcome.stream_id} <= {event.originator_id for event in outcome.domain_events}

    def _reservations_with_tickets(self, command: Command) -> list[UUID]:
        assert command.actor
        claims = self.books.claims_of(command.event_id, buyer_id=command.actor.account_id)
        return [claim.held.reservation_id for claim in claims]

    def _record(self, command: Command, decision: Decision, at: datetime) -> None:
        if decision.domain_events:
            assert decision.domain_events[0].timestamp == at
            assert decision.domain_events[0].request_id == command.request_id
            released = [e for e in decision.domain_events if isinstance(e, TicketsReleased) and e.reason == "expired"]
            if isinstance(command, ReserveTickets) and released:
                assert is_each_hold_needed(self.books, command, [e.reservation_id for e in released])
            self.books.record(decision.domain_events)
            for domain_event in decision.domain_events:
                self._fold(self.aggregates, domain_event)
            assert decision.answer == self.aggregates[decision.stream_id].record
            assert decision.version == self.aggregates[decision.stream_id].version
            self.first_answers.append((command, decision))
            self.agree()

    @staticmethod
    def _fold(aggregates: dict[UUID, Any], domain_event: DomainEvent) -> None:
        stream_id = domain_event.originator_id
        aggregates[stream_id] = domain_event.mutate(aggregates.get(stream_id))

    def agree(self) -> None:
        """The aggregates have the counts that the books have."""
        for event_id, book in self.books.events.items():
            event: TicketedEvent = self.aggregates[event_id]
            taken: dict[tuple[UUID, str], int] = defaultdict(int)
            tickets: dict[UUID, int] = defaultdict(int)
            holds: dict[UUID, Hold] = {}
            for claim in self.books.claims_of(event_id):
                held = claim.held
                taken[held.ticket_type_id, claim.state] += held.quantity
                tickets[held.buyer_id] += held.quantity
                if claim.state == "held":
                    version = self.aggregates[held.reservation_id].version
                    hold = Hold(held.buyer_id, held.ticket_type_id, held.quantity, claim.hold_expires_at, version)
                    holds[held.reservation_id] = hold
            for type_id, capacity in book.capacities.items():
                stock, held_count, sold_count = event.stock[type_id], taken[type_id, "held"], taken[type_id, "sold"]
                assert (stock.capacity, stock.held, stock.sold) == (capacity, held_count, sold_count)
                assert stock.withheld == book.withheld[type_id]
                assert stock.available == capacity - held_count - sold_count - stock.withheld >= 0
                deadlines = [(h.hold_expires_at, i) for i, h in holds.items() if h.ticket_type_id == type_id]
                assert list(stock.deadlines) == sorted(deadlines)
            assert event.holds == holds
            assert {buyer_id: buyer.tickets for buyer_id, buyer in event.buyers.items()} == dict(tickets)
            for buyer_id, buyer in event.buyers.items():
                assert set(buyer.hold_ids) == {i for i, hold in holds.items() if hold.buyer_id == buyer_id}
                assert buyer.paid_reservation_id is None or self.books.claims[buyer.paid_reservation_id].state == "sold"
            assert (event.details, event.sales_window, event.limits) == (book.details, book.window, book.limits)
            assert (event.cancelled is not None) == book.is_cancelled
            assert event.edition == book.edition
            assert [stock.offer for stock in event.stock.values()] == list(book.offers.values())
        for reservation_id, claim in self.books.claims.items():
            assert self.aggregates[reservation_id].status == STATUS[claim.state]

    def refold(self) -> None:
        """What the streams, stored and read again, add up to is the state at hand."""
        folded: dict[UUID, Any] = {}
        for domain_event in self.books.history:
            stream_id, version = domain_event.originator_id, domain_event.originator_version
            stored = decode(stream_id, version, domain_event.TOPIC, encode(domain_event))
            assert stored == domain_event
            self._fold(folded, stored)
        assert {i: snapshot(a) for i, a in folded.items()} == {i: snapshot(a) for i, a in self.aggregates.items()}
