"""Scenarios: given what was recorded, when a command is decided at an instant, then what is recorded, or a refusal."""

import itertools
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from domain.commands import Command
from domain.decide import decide
from domain.decision import Decision, Read
from domain.domain_event import Aggregate, DomainEvent
from domain.errors import Refusal
from domain.inventory import Stock
from domain.reservation import Reservation
from domain.ticketed_event import TicketedEvent
from tests.domain.builders import NOON

Step = DomainEvent | tuple[DomainEvent, ...]


def given(*steps: Step) -> "Scenario":
    """A box office where these steps were recorded; their versions are counted here."""
    scenario = Scenario()
    scenario.record(scenario.numbered(*steps))
    return scenario


class Scenario:
    """The state folded from what was recorded so far."""

    def __init__(self) -> None:
        self.aggregates: dict[UUID, Any] = {}

    def event(self, event_id: UUID) -> TicketedEvent | None:
        return self.aggregates.get(event_id)

    def reservation(self, command: Command) -> Reservation | None:
        reservation_id = getattr(command, "reservation_id", None)
        return self.aggregates.get(reservation_id) if reservation_id else None

    def numbered(self, *steps: Step) -> list[DomainEvent]:
        """The domain events of the steps, each with the next version of its stream."""
        flat = itertools.chain.from_iterable(step if isinstance(step, tuple) else (step,) for step in steps)
        versions = {stream_id: aggregate.version for stream_id, aggregate in self.aggregates.items()}
        numbered = []
        for domain_event in flat:
            stream_id = domain_event.originator_id
            versions[stream_id] = versions.get(stream_id, 0) + 1
            numbered.append(msgspec.structs.replace(domain_event, originator_version=versions[stream_id]))
        return numbered

    def record(self, domain_events: "list[DomainEvent] | tuple[DomainEvent, ...]") -> None:
        for domain_event in domain_events:
            stream_id = domain_event.originator_id
            self.aggregates[stream_id] = domain_event.mutate(self.aggregates.get(stream_id))

    def when(self, command: Command, at: datetime = NOON, *, name_holder_id: UUID | None = None) -> "Result":
        """Decide the command at an instant, and see to it that deciding changed nothing by itself."""
        before = {stream_id: snapshot(aggregate) for stream_id, aggregate in self.aggregates.items()}
        outcome: Decision | Refusal
        try:
            outcome = decide(command, Read.of(command, self.aggregates.get, name_holder_id), at)
        except Refusal as refusal:
            outcome = refusal
        assert {stream_id: snapshot(aggregate) for stream_id, aggregate in self.aggregates.items()} == before
        return Result(self, command, outcome)


class Result:
    """What came of a command."""

    def __init__(self, scenario: Scenario, command: Command, outcome: Decision | Refusal) -> None:
        self.scenario = scenario
        self.command = command
        self.outcome = outcome

    @property
    def decision(self) -> Decision:
        assert isinstance(self.outcome, Decision), f"refused: {self.outcome!r}"
        return self.outcome

    def then(self, *steps: Step) -> Scenario:
        """Exactly these steps are recorded, in one request, and the answer is what they add up to."""
        expected = [
            msgspec.structs.replace(domain_event, request_id=self.command.request_id)
            for domain_event in self.scenario.numbered(*steps)
        ]
        assert list(self.decision.domain_events) == expected
        self.scenario.record(self.decision.domain_events)
        answering = self.scenario.aggregates[self.decision.stream_id]
        assert self.decision.answer == answering.record
        assert self.decision.version == answering.version
        assert not self.decision.replayed
        return self.scenario

    def then_nothing_new(self) -> Decision:
        """All was recorded already, or nothing is to be recorded."""
        assert self.decision.domain_events == ()
        return self.decision

    def then_refused(self, refusal: Refusal) -> Scenario:
        """The answer is no, with these facts."""
        assert isinstance(self.outcome, Refusal), f"not refused: {self.outcome!r}"
        assert (type(self.outcome), self.outcome.facts) == (type(refusal), refusal.facts)
        return self.scenario


def snapshot(value: Any) -> Any:
    """A copy of an aggregate's state that compares by value and shares nothing that can change."""
    if isinstance(value, Aggregate):
        return {name: snapshot(part) for name, part in vars(value).items()}
    if isinstance(value, Stock):
        return {name: snapshot(getattr(value, name)) for name in Stock.__slots__}
    if isinstance(value, dict):
        return {key: snapshot(part) for key, part in value.items()}
    return value if isinstance(value, tuple | str) or not hasattr(value, "__iter__") else list(value)
