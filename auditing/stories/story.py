"""The story of a purchase or of a buyer: what happened, when, by whom, in which request, and why. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from auditing.replay.catalogue_rows import CatalogueRows
from auditing.stories import sentences
from auditing.stories.sentences import OfPurchase, Situation
from auditing.stories.shortage import Shortage, Since
from domain.event_facts import EventCancelled, HoldExtended, TicketsHeld, TicketsReduced
from eventstore.reading import Recorded
from eventstore.writing.refused_attempts import RefusedAttempt
from projections.tables.ticket_types import TicketTypeRow


class Counts(NamedTuple):
    """The tickets of one type at a position; available = capacity − withheld − reserved − paid."""

    ticket_type_id: UUID
    capacity: int
    reserved: int
    paid: int
    withheld: int
    available: int


class Entry(NamedTuple):
    """`type` is that of the domain event, or the code of the refusal; `counts` are None where no type was meant."""

    at: datetime
    position: int
    type: str
    actor_id: str
    request_id: UUID
    reservation_id: UUID | None
    counts: Counts | None
    sentence: str


class ReservationCourse(NamedTuple):
    """How a reservation of the story began, and since when it was held, and last paid or given back."""

    held: TicketsHeld
    held_since: Since
    ended_since: Since | None = None


class StoryWriter:
    """Folds an event's stream from its beginning, and writes down of it what somebody asked for.

    `concerns` chooses among the domain events that hold, sell or release tickets; `attempts` are what was refused, in
    order of their positions. Memory grows with what is written, never with the stream.
    """

    def __init__(self, concerns: Callable[[OfPurchase], bool], attempts: Sequence[RefusedAttempt]) -> None:
        self._entries: list[Entry] = []
        self._concerns = concerns
        self._attempts = list(reversed(attempts))
        self._rows = CatalogueRows()
        self._most_asked = max((attempt.quantity or 1 for attempt in attempts), default=1)
        self._shortages: dict[UUID, Shortage] = {}
        self._courses: dict[UUID, ReservationCourse] = {}
        self._cancelled_since: Since | None = None
        self._created = False

    def fold(self, recorded: Sequence[Recorded]) -> None:
        """Take the next domain events of the stream, in order. Raises `FoldFailed`."""
        for one in recorded:
            self._tell_refused(before=one.position)
            it, since = one.domain_event, Since(one.command_position, one.domain_event.timestamp)
            for row in self._rows.fold((one,)):
                shortage = self._shortages.setdefault(row.ticket_type_id, Shortage(self._most_asked))
                shortage.change(row.available, since)
            self._created = True
            if isinstance(it, EventCancelled):
                self._cancelled_since = since
            elif isinstance(it, OfPurchase) and self._concerns(it):
                self._tell(it, since)

    def entries(self) -> list[Entry]:
        """The whole story, once the last domain event was folded."""
        self._tell_refused()
        return self._entries

    def _tell(self, it: OfPurchase, since: Since) -> None:
        if isinstance(it, TicketsHeld):
            self._courses[it.reservation_id] = ReservationCourse(it, since)
        course = self._courses.get(it.reservation_id)
        if course and isinstance(it, HoldExtended):
            longer = msgspec.structs.replace(course.held, hold_expires_at=it.hold_expires_at)
            self._courses[it.reservation_id] = course._replace(held=longer)
        elif course and not isinstance(it, TicketsHeld | TicketsReduced):
            self._courses[it.reservation_id] = course._replace(ended_since=since)
        ticket_type = self._rows.ticket_type(it.ticket_type_id)
        assert ticket_type is not None  # noqa: S101 - its tickets were just counted
        held = course.held if course else None
        sentence = sentences.of_domain_event(it, ticket_type, held, self._cancelled_since)
        self._entries.append(
            Entry(
                since.at,
                since.position,
                it.TOPIC,
                it.actor_id,
                it.request_id,
                it.reservation_id,
                _counts(ticket_type),
                sentence,
            )
        )

    def _tell_refused(self, before: int | None = None) -> None:
        """Tell what was refused before the domain event at this position; without one, all that is left."""
        while self._attempts and (before is None or self._attempts[-1].position < before):
            attempt = self._attempts.pop()
            situation = self._situation(attempt)
            self._entries.append(
                Entry(
                    attempt.refused_at,
                    attempt.position,
                    attempt.code,
                    str(attempt.account_id),
                    attempt.request_id,
                    attempt.reservation_id,
                    _counts_then(attempt, situation.ticket_type),
                    sentences.of_refusal(situation),
                )
            )

    def _situation(self, attempt: RefusedAttempt) -> Situation:
        facts: dict[str, Any] = msgspec.json.decode(attempt.facts)
        about = attempt.reservation_id or _id(facts.get("reservation_id"))
        course = self._courses.get(about) if about else None
        ticket_type_id = attempt.ticket_type_id or (course and course.held.ticket_type_id)
        shortage = self._shortages.get(ticket_type_id) if ticket_type_id else None
        return Situation(
            attempt,
            facts,
            event=self._rows.event if self._created else None,
            ticket_type=self._rows.ticket_type(ticket_type_id),
            short_since=shortage.since(attempt.quantity or 1) if shortage else None,
            held_since=course.held_since if course else None,
            ended_since=course.ended_since if course else None,
            cancelled_since=self._cancelled_since,
        )


def _counts(row: TicketTypeRow) -> Counts:
    return Counts(row.ticket_type_id, row.capacity, row.reserved, row.paid, row.withheld, row.available)


def _counts_then(attempt: RefusedAttempt, row: TicketTypeRow | None) -> Counts | None:
    """As they were kept with the refusal, or else as the stream tells them; `withheld` was not kept always."""
    if attempt.ticket_type_id is None or attempt.capacity is None or attempt.reserved is None or attempt.paid is None:
        return _counts(row) if row else None
    withheld = attempt.withheld if attempt.withheld is not None else row.withheld if row else 0
    available = attempt.capacity - withheld - attempt.reserved - attempt.paid
    return Counts(attempt.ticket_type_id, attempt.capacity, attempt.reserved, attempt.paid, withheld, available)


def _id(fact: Any) -> UUID | None:
    return UUID(fact) if fact else None
