"""Stories from domain events and refusals alone: a sentence for each step, in order, with the counts at that place."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from auditing.stories.sentences import ATTEMPTS, REASONS
from auditing.stories.story import Entry, StoryWriter
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
    RevokeReservation,
    WithdrawReservation,
    WithholdTickets,
)
from domain.decide import decide
from domain.decision import Read
from domain.domain_event import DomainEvent
from domain.errors import LimitPerBuyer, Refusal, SoldOut
from domain.event_facts import EventDetails, Limits, SalesWindow
from domain.inventory import TicketType
from eventstore.reading import Recorded
from eventstore.writing.refused_attempts import Keeping, Refusals, RefusedAttempt
from tests.refused_rows import kept_by

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
EVENT, STANDING, OLGA, ANN, BEN = (UUID(int=n) for n in range(1, 6))


class Counter:
    """A box office in memory: what it records and refuses, second by second of a day in 2030."""

    def __init__(self, capacity: int = 3, amount_minor: int = 2500, max_per_buyer: int = 2, **changes: Any) -> None:
        self.now = NOON
        self.aggregates: dict[UUID, Any] = {}
        self.recorded: list[Recorded] = []
        self.refused: list[RefusedAttempt] = []
        self.keeping = Keeping()
        offer = TicketType(
            ticket_type_id=STANDING, name="Standing", capacity=capacity, amount_minor=amount_minor, currency="EUR"
        )
        starts_at = NOON + timedelta(hours=5)
        command = CreateEvent(
            **self.asked(OLGA),
            details=EventDetails(title="Concert", starts_at=starts_at, ends_at=starts_at + timedelta(hours=2)),
            ticket_types=(offer,),
            sales_window=SalesWindow(),
            limits=Limits(max_per_buyer=max_per_buyer, hold_seconds=120),
        )
        self.submit(replace(command, **changes))

    def asked(self, account_id: UUID | None, **more: Any) -> dict[str, Any]:
        actor = Actor(account_id) if account_id else None
        return {
            "event_id": EVENT,
            "request_id": UUID(int=1000 + len(self.recorded) + len(self.refused)),
            "actor": actor,
        } | more

    def submit(self, command: Command, after_seconds: float = 1) -> None:
        self.now += timedelta(seconds=after_seconds)
        try:
            decision = decide(command, Read.of(command, self.aggregates.get), self.now)
        except Refusal as refusal:
            refusals = Refusals(self.keeping)
            refusals.add(command, refusal, self.aggregates.get(EVENT), len(self.recorded))
            self.refused += kept_by(refusals, self.now)
            refusals.settle()
            return
        end = len(self.recorded) + len(decision.domain_events)
        for it in decision.domain_events:
            self.aggregates[it.originator_id] = it.mutate(self.aggregates.get(it.originator_id))
            self.recorded.append(Recorded(len(self.recorded) + 1, end, it))

    def reserve(self, buyer: UUID, reservation: int, quantity: int = 1, after_seconds: float = 1) -> UUID:
        reservation_id = UUID(int=100 + reservation)
        asked = self.asked(buyer, reservation_id=reservation_id, quantity=quantity)
        self.submit(ReserveTickets(**asked), after_seconds)
        return reservation_id

    def story(self, buyer: UUID) -> list[Entry]:
        writer = StoryWriter(lambda it: it.buyer_id == buyer, [one for one in self.refused if one.account_id == buyer])
        writer.fold([one for one in self.recorded if one.domain_event.originator_id == EVENT])
        return writer.entries()


def sentences(entries: Sequence[Entry]) -> list[str]:
    return [entry.sentence for entry in entries]


def test_a_purchase_is_told_from_holding_to_the_refund() -> None:
    counter = Counter()
    reservation_id = counter.reserve(ANN, 1, 2)
    counter.submit(PayReservation(**counter.asked(ANN, reservation_id=reservation_id)))
    counter.submit(CancelReservation(**counter.asked(ANN, reservation_id=reservation_id)))
    told = counter.story(ANN)
    assert sentences(told) == [
        "2 tickets of Standing were held for the buyer until 2030-05-01T12:02:02Z; 2 of 3 were then taken.",
        "2 tickets of Standing were paid by the buyer, 50.00 EUR in all; 2 of 3 were then taken.",
        (
            "The buyer cancelled 2 tickets of Standing that were paid, and a refund of 50.00 EUR is due; "
            "0 of 3 were then taken."
        ),
    ]
    assert [entry.type for entry in told] == ["TicketsHeld", "TicketsSold", "TicketsReleased"]
    assert [(entry.position, entry.at) for entry in told] == [
        (3, NOON + timedelta(seconds=2)),
        (5, NOON + timedelta(seconds=3)),
        (7, NOON + timedelta(seconds=4)),
    ]
    assert {(entry.actor_id, entry.reservation_id) for entry in told} == {(str(ANN), reservation_id)}
    assert [entry.counts and entry.counts[1:] for entry in told] == [(3, 2, 0, 0, 1), (3, 0, 2, 0, 1), (3, 0, 0, 0, 3)]


def test_more_time_to_pay_is_told_and_counts_from_then_on() -> None:
    counter = Counter(limits=Limits(max_per_buyer=2, hold_seconds=120, hold_extension_seconds=60))
    reservation_id = counter.reserve(ANN, 1)
    counter.submit(ExtendReservation(**counter.asked(ANN, reservation_id=reservation_id)))
    counter.submit(PayReservation(**counter.asked(ANN, reservation_id=reservation_id)), after_seconds=180)
    counter.submit(ExpireReservation(**counter.asked(None, reservation_id=reservation_id)))
    counter.submit(ExtendReservation(**counter.asked(ANN, reservation_id=reservation_id)))
    told = counter.story(ANN)
    assert sentences(told)[1:] == [
        "The buyer got more time to pay for 1 ticket of Standing, until 2030-05-01T12:03:02Z; 1 of 3 was then taken.",
        "Payment refused as hold-expired: the hold had ended at 2030-05-01T12:03:02Z, 1.0 s before this was decided.",
        (
            "1 ticket of Standing was taken back by the system, because it was not paid by 2030-05-01T12:03:02Z; "
            "0 of 3 were then taken."
        ),
        "Extension refused as hold-expired: the hold had ended at 2030-05-01T12:03:02Z, 3.0 s before this was decided.",
    ]
    assert told[1].type == "HoldExtended"
    assert told[1].reservation_id == told[2].reservation_id == reservation_id


def test_a_part_that_is_given_back_is_told_with_what_is_kept() -> None:
    counter = Counter()
    reservation_id = counter.reserve(ANN, 1, 2)
    counter.submit(CancelReservation(**counter.asked(ANN, reservation_id=reservation_id, quantity=3)))
    counter.submit(CancelReservation(**counter.asked(ANN, reservation_id=reservation_id, quantity=1)))
    counter.submit(PayReservation(**counter.asked(ANN, reservation_id=reservation_id)))
    assert sentences(counter.story(ANN))[1:] == [
        "Cancellation refused as more-than-reserved: the reservation had 2 tickets, fewer than that.",
        (
            "The buyer gave 1 ticket of Standing back that was held and kept 1, and nothing had been paid; "
            "1 of 3 was then taken."
        ),
        "1 ticket of Standing was paid by the buyer, 25.00 EUR in all; 1 of 3 was then taken.",
    ]


def test_what_can_not_be_extended_says_why() -> None:
    counter = Counter()
    reservation_id = counter.reserve(ANN, 1)
    counter.submit(ExtendReservation(**counter.asked(ANN, reservation_id=reservation_id)))
    counter.submit(PayReservation(**counter.asked(ANN, reservation_id=reservation_id)))
    counter.submit(ExtendReservation(**counter.asked(ANN, reservation_id=reservation_id)))
    refused = [sentence for sentence in sentences(counter.story(ANN)) if sentence.startswith("Extension")]
    assert refused == [
        "Extension refused as extension-not-offered: the organiser offered no more time to pay.",
        (
            "Extension refused as not-extendable: the reservation was paid already, since position 5; "
            "this was decided 1.0 s later."
        ),
    ]


def test_what_was_not_paid_in_time_says_so() -> None:
    counter = Counter()
    reservation_id = counter.reserve(ANN, 1)
    counter.submit(ExpireReservation(**counter.asked(None, reservation_id=reservation_id)), after_seconds=120)
    counter.submit(PayReservation(**counter.asked(ANN, reservation_id=reservation_id)), after_seconds=0.031)
    told = counter.story(ANN)
    assert sentences(told)[1:] == [
        (
            "1 ticket of Standing was taken back by the system, because it was not paid by 2030-05-01T12:02:02Z; "
            "0 of 3 were then taken."
        ),
        "Payment refused as hold-expired: the hold had ended at 2030-05-01T12:02:02Z, 31 ms before this was decided.",
    ]
    assert (told[1].actor_id, told[2].actor_id) == ("system", str(ANN))
    assert told[2].counts == (STANDING, 3, 0, 0, 0, 3)


def test_sold_out_tells_what_was_withheld() -> None:
    counter = Counter()
    counter.reserve(BEN, 1)
    counter.submit(WithholdTickets(**counter.asked(OLGA, quantity=2)))
    counter.reserve(ANN, 2, after_seconds=2)
    (entry,) = counter.story(ANN)
    assert entry.sentence == (
        "Refused as sold-out: 1 of 3 taken and 2 withheld since position 4; this was decided 2.0 s later."
    )
    assert entry.counts == (STANDING, 3, 1, 0, 2, 0)


def test_what_the_organiser_cancelled_says_so() -> None:
    counter = Counter()
    reservation_id = counter.reserve(ANN, 1)
    counter.submit(PayReservation(**counter.asked(ANN, reservation_id=reservation_id)))
    counter.submit(RevokeReservation(**counter.asked(OLGA, reservation_id=reservation_id)))
    assert sentences(counter.story(ANN))[2:] == [
        (
            f"For the organiser, account {OLGA} cancelled 1 ticket of Standing that was paid, "
            "and a refund of 25.00 EUR is due; 0 of 3 were then taken."
        )
    ]


def test_a_free_ticket_of_a_cancelled_event_has_nothing_to_refund() -> None:
    counter = Counter(amount_minor=0)
    paid, held = counter.reserve(ANN, 1), counter.reserve(ANN, 2)
    counter.submit(PayReservation(**counter.asked(ANN, reservation_id=paid)))
    counter.submit(CancelEvent(**counter.asked(OLGA)))
    for reservation_id in (paid, held):
        counter.submit(WithdrawReservation(**counter.asked(None, reservation_id=reservation_id)))
    counter.reserve(ANN, 3, after_seconds=0.5)
    assert sentences(counter.story(ANN))[2:] == [
        "1 ticket of Standing was confirmed by the buyer, free of charge; 2 of 3 were then taken.",
        (
            "The system cancelled 1 ticket of Standing that was paid because the event was cancelled at position 8, "
            "and nothing is to be refunded; 1 of 3 was then taken."
        ),
        (
            "The system cancelled 1 ticket of Standing that was held because the event was cancelled at position 8, "
            "and nothing had been paid; 0 of 3 were then taken."
        ),
        "Refused as event-cancelled: the event had been cancelled at position 8; this was decided 2.5 s later.",
    ]


def test_sold_out_says_since_when_and_how_much_later_it_was_decided() -> None:
    counter = Counter(capacity=3)
    counter.reserve(OLGA, 1, 2)
    counter.reserve(BEN, 2, 1)
    counter.reserve(ANN, 3, after_seconds=0.031)
    counter.reserve(ANN, 4, 2, after_seconds=0)
    refused = counter.story(ANN)
    assert sentences(refused) == [
        "Refused as sold-out: 3 of 3 taken since position 5; this was decided 31 ms later.",
        (
            "Refused as sold-out: 2 tickets of Standing asked for, 3 of 3 taken, too few left since position 3; "
            "this was decided 1.0 s later."
        ),
    ]
    assert [(entry.type, entry.position, entry.reservation_id) for entry in refused] == [("sold-out", 5, None)] * 2


def test_holds_past_their_time_that_would_not_have_been_enough_are_told() -> None:
    counter = Counter(capacity=3)
    counter.reserve(OLGA, 1, 1)
    counter.reserve(BEN, 2, 2, after_seconds=60)
    counter.reserve(ANN, 3, 2, after_seconds=70)
    assert sentences(counter.story(ANN)) == [
        (
            "Refused as sold-out: 2 tickets of Standing asked for, 3 of 3 taken, too few left since position 5, and "
            "holds past their time would have given back only 1; this was decided 1 min 10 s later."
        )
    ]


def test_a_limit_says_what_the_buyer_had() -> None:
    counter = Counter(capacity=50)
    counter.reserve(ANN, 1, 2)
    counter.reserve(ANN, 2, after_seconds=0)
    assert sentences(counter.story(ANN))[1] == (
        "Refused as limit-per-buyer: 1 asked for, and of at most 2 a buyer this account had 2, the last of them held "
        "at position 3; this was decided at the same moment, right behind it."
    )


def test_a_window_says_when_it_was_open() -> None:
    window = SalesWindow(sales_open_at=NOON + timedelta(minutes=1), sales_close_at=NOON + timedelta(hours=1))
    counter = Counter(sales_window=window)
    counter.reserve(ANN, 1)
    counter.reserve(ANN, 2, after_seconds=3_600)
    counter.reserve(ANN, 3, after_seconds=36_000)
    assert sentences(counter.story(ANN)) == [
        "Refused as sales-not-open: sales opened at 2030-05-01T12:01:00Z only, 58.0 s after this was decided.",
        "Refused as sales-closed: sales had closed at 2030-05-01T13:00:00Z, 2.0 s before this was decided.",
        "Refused as event-ended: the event had ended at 2030-05-01T19:00:00Z, 4 h 0 min before this was decided.",
    ]


def test_who_pays_what_is_paid_or_another_buyers_is_told_so() -> None:
    counter = Counter()
    reservation_id = counter.reserve(ANN, 1)
    counter.submit(PayReservation(**counter.asked(ANN, reservation_id=reservation_id)))
    counter.submit(PayReservation(**counter.asked(ANN, reservation_id=reservation_id, payment_reference="again")))
    counter.submit(CancelReservation(**counter.asked(BEN, reservation_id=reservation_id)))
    assert sentences(counter.story(ANN))[2] == (
        "Payment refused as not-payable: the reservation was paid already, since position 5; "
        "this was decided 1.0 s later."
    )
    assert sentences(counter.story(BEN)) == ["Cancellation refused as not-found: this account has no such reservation."]


def test_what_an_organiser_was_refused_is_told_as_well() -> None:
    counter = Counter()
    counter.reserve(ANN, 1, 2)
    counter.submit(ChangeEvent(**counter.asked(OLGA), total_tickets=1))
    counter.submit(ChangeEvent(**counter.asked(BEN), title="Mine"))
    counter.submit(ChangeEvent(**counter.asked(OLGA), starts_at=NOON))
    assert sentences(counter.story(OLGA)) == [
        (
            "Change of the event refused as capacity-below-taken: 2 tickets of that type were taken or withheld, "
            "more than the capacity asked for."
        ),
        "Change of the event refused as invalid-request: starts_at must lie in the future.",
    ]
    assert sentences(counter.story(BEN)) == [
        "Change of the event refused as forbidden: this account is not the event's organiser."
    ]


def test_the_last_refusal_that_was_kept_says_that_more_were_not() -> None:
    counter = Counter(capacity=1)
    counter.reserve(BEN, 1)
    for number in range(2, 12):
        counter.reserve(ANN, number)
    assert [" not kept." in sentence for sentence in sentences(counter.story(ANN))] == [False] * 9 + [True]


def test_refusals_at_an_event_that_never_was_are_told_without_counts() -> None:
    attempt = refused_as("event-not-found", {}, None)
    writer = StoryWriter(lambda _: False, [attempt])
    (entry,) = writer.entries()
    assert (entry.sentence, entry.counts) == ("Refused as event-not-found: there was no event of this id.", None)


@pytest.mark.parametrize("code", [*REASONS, "some-later-code"])
def test_every_refusal_has_a_sentence_even_when_nothing_else_is_known(code: str) -> None:
    facts = {"sales-not-open": {"sales_open_at": NOON}, "hold-expired": {"hold_expires_at": NOON}}.get(code, {})
    (entry,) = StoryWriter(lambda _: False, [refused_as(code, facts, None)]).entries()
    assert entry.sentence.startswith(f"Refused as {code}: ")
    assert entry.sentence.endswith(".")


def test_every_code_that_a_command_can_be_refused_with_has_its_reason() -> None:
    from domain import errors as refusals

    kinds = [kind for kind in vars(refusals).values() if isinstance(kind, type) and issubclass(kind, Refusal)]
    codes = {kind.code for kind in kinds if kind is not Refusal} - {"not-authenticated"}
    assert codes <= REASONS.keys()
    assert {"ReserveTickets", "PayReservation", "CancelReservation"} <= ATTEMPTS.keys()
    assert {SoldOut.code, LimitPerBuyer.code} <= codes


def refused_as(code: str, facts: dict[str, Any], ticket_type_id: UUID | None) -> RefusedAttempt:
    """An attempt to reserve, as it would be kept."""
    counts = (None, None, None)
    told = msgspec.json.encode(facts).decode()
    return RefusedAttempt(
        UUID(int=9), NOON, ANN, "ReserveTickets", EVENT, None, ticket_type_id, 1, code, told, *counts, 7, False
    )


def test_domain_events_of_others_are_not_told() -> None:
    counter = Counter()
    counter.reserve(BEN, 1)
    assert counter.story(ANN) == []
    assert all(isinstance(one.domain_event, DomainEvent) for one in counter.recorded)
