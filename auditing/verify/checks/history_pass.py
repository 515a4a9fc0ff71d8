"""The history in position order: no hole and no repeat, whole commands, and both streams of a purchase agreeing."""

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

import msgspec

from auditing.findings import Findings, Rule, place_of
from auditing.verify.rules.cross_stream_rules import OF_RESERVATIONS, OF_TICKETS, PARTNERS, disagreement
from domain.domain_event import DomainEvent
from domain.event_facts import EventCreated, PriceChanged, TicketTypeAdded
from domain.inventory import TicketType
from domain.reservation import ReservationPlaced
from eventstore.reading import Recorded, StoredRow

# About 60 MB; what is forgotten is asked for again.
KNOWN_PRICES = 100_000


# By these an event says what its tickets cost.
OF_PRICES = (EventCreated, TicketTypeAdded, PriceChanged)
PRICE_TOPICS = frozenset(domain_event.TOPIC for domain_event in OF_PRICES)


def readable(rows: Iterable[StoredRow]) -> Iterator[Recorded]:
    """The rows as recorded; without those that can't be read, each a finding at its own position."""
    for row in rows:
        try:
            yield row.recorded()
        except (msgspec.MsgspecError, ValueError, LookupError, TypeError):
            continue


class HistoryPass:
    """Takes the rows after position `after`, in order and in batches of any size. Memory is bounded.

    `gapless=False` is for parts of the history, such as the streams of one event: whole commands, positions rising.
    """

    def __init__(self, findings: Findings, *, after: int = 0, gapless: bool = True) -> None:
        self.position = after
        self.rows = 0
        self._findings = findings
        self._gapless = gapless
        self._command_end = after
        # What all domain events of one command share.
        self._first: DomainEvent | None = None
        # Told by the stream of the event, and to be told by that of the reservation next.
        self._half: Recorded | None = None
        self._prices: dict[UUID, tuple[UUID, TicketType]] = {}
        self._unpriced: list[Recorded] = []

    def feed(self, rows: Sequence[StoredRow]) -> list[Recorded]:
        """Judge the next rows; returns those that can be read."""
        readable = []
        self.rows += len(rows)
        for row in rows:
            if row.position != self.position + 1:
                self._jumped(row)
            self.position = row.position
            if row.position > self._command_end:
                self._begin_command(row)
            elif row.command_position != self._command_end:
                sentence = f"Its command ends at position {row.command_position} as well as at {self._command_end}."
                self._tell(row, Rule.COMMAND_CUT, sentence)
            try:
                recorded = row.recorded()
                self._judge(recorded)
            except Exception as error:
                self._half = None
                self._tell(row, Rule.UNREADABLE, f"It can't be read or judged: {error!r}.")
            else:
                readable.append(recorded)
        return readable

    def unknown_events(self) -> list[UUID]:
        """Events whose prices are needed and not known, to be asked for after each `feed` and answered by `learn`."""
        return list({placed.domain_event.event_id for placed in self._unpriced})  # type: ignore[attr-defined]

    def learn(self, told: Iterable[Recorded]) -> None:
        """What events that were unknown have said of prices, up to the last row fed.

        Those that do not come were never created, which is a finding.
        """
        unpriced, self._unpriced = self._unpriced, []
        for one in sorted((*told, *unpriced), key=lambda recorded: recorded.position):
            if isinstance(one.domain_event, ReservationPlaced):
                self._judge_amount(one, is_known=True)
            else:
                self._learn(one.domain_event)

    def end(self) -> None:
        """There are no more rows."""
        self._end_command()

    def _jumped(self, row: StoredRow) -> None:
        """Positions are missing before this row, or it is not after the one before."""
        if row.position <= self.position:
            self._tell(row, Rule.POSITION_REPEATED, f"Position {row.position} comes after {self.position}.")
            return
        if self._gapless:
            first, last = self.position + 1, row.position - 1
            missing = f"Position {first} is" if first == last else f"Positions {first} to {last} are"
            self._findings.add(first, Rule.POSITION_HOLE, f"position {first}", f"{missing} missing from the history.")
        self._end_command()
        self._command_end = min(self._command_end, row.position - 1)

    def _begin_command(self, row: StoredRow) -> None:
        self._end_command()
        self._command_end = max(row.command_position, row.position)
        if row.command_position < row.position:
            sentence = f"Its command ends at position {row.command_position}, before it."
            self._tell(row, Rule.COMMAND_CUT, sentence)

    def _end_command(self) -> None:
        """The next row belongs to another command, or there is none."""
        self._end_half()
        if self._first is not None and self.position < self._command_end:
            sentence = f"The command that ends at position {self._command_end} stops at {self.position}."
            self._findings.add(self.position, Rule.COMMAND_CUT, f"position {self.position}", sentence)
        self._first = None

    def _judge(self, recorded: Recorded) -> None:
        it = recorded.domain_event
        first = self._first
        if first is None:
            self._first = it
        elif it.request_id != first.request_id or it.timestamp != first.timestamp:
            self._add(recorded, Rule.REQUESTS_MIXED, "One command has one request and one time; here are two.")
        kind = type(it)
        half = self._half
        if half is not None:
            self._half = None
            if (type(half.domain_event), kind) in PARTNERS:
                self._judge_pair(half, recorded)
                return
            self._alone(half)
        if kind in OF_TICKETS:
            self._half = recorded
        elif kind in OF_RESERVATIONS:
            self._alone(recorded)
        elif isinstance(it, OF_PRICES):
            self._learn(it)

    def _judge_pair(self, half: Recorded, recorded: Recorded) -> None:
        if fact := disagreement(half.domain_event, recorded.domain_event):
            sentence = f"The streams of the event and of the reservation tell another {fact} at position {{}}."
            self._add(recorded, Rule.STREAMS_DISAGREE, sentence.format(half.position))
        if isinstance(recorded.domain_event, ReservationPlaced):
            self._judge_amount(recorded)

    def _judge_amount(self, recorded: Recorded, *, is_known: bool = False) -> None:
        """Is a reservation's amount the price of its tickets?"""
        placed = recorded.domain_event
        assert isinstance(placed, ReservationPlaced)  # noqa: S101
        event_id, offer = self._prices.get(placed.ticket_type_id, (None, None))
        if offer is None:
            if is_known:
                sentence = f"No event {placed.event_id} offers the ticket type {placed.ticket_type_id}."
                self._add(recorded, Rule.TICKET_TYPE_UNKNOWN, sentence)
            else:
                self._unpriced.append(recorded)
            return
        if (event_id, offer.currency) != (placed.event_id, placed.currency):
            self._add(recorded, Rule.STREAMS_DISAGREE, "The ticket type is another event's, or the currency another.")
        if placed.amount_minor != offer.price_minor(placed.quantity):
            sentence = f"{placed.quantity} tickets of {offer.amount_minor} are reserved for {placed.amount_minor}."
            self._add(recorded, Rule.AMOUNT_WRONG, sentence)

    def _learn(self, it: DomainEvent) -> None:
        match it:
            case EventCreated():
                if len(self._prices) > KNOWN_PRICES:
                    self._prices.clear()
                for offer in it.ticket_types:
                    self._prices[offer.ticket_type_id] = it.originator_id, offer
            case TicketTypeAdded(ticket_type=offer):
                self._prices[offer.ticket_type_id] = it.originator_id, offer
            case PriceChanged(ticket_type_id=ticket_type_id) if ticket_type_id in self._prices:
                event_id, offer = self._prices[ticket_type_id]
                if event_id == it.originator_id:
                    now = msgspec.structs.replace(offer, amount_minor=it.amount_minor)
                    self._prices[ticket_type_id] = event_id, now

    def _end_half(self) -> None:
        if self._half is not None:
            half, self._half = self._half, None
            self._alone(half)

    def _alone(self, recorded: Recorded) -> None:
        other = "reservation" if type(recorded.domain_event) in OF_TICKETS else "event"
        sentence = f"{recorded.domain_event.TOPIC} is told without its counterpart in the stream of the {other}."
        self._add(recorded, Rule.STREAMS_DISAGREE, sentence)

    def _add(self, recorded: Recorded, rule: Rule, sentence: str) -> None:
        it = recorded.domain_event
        self._findings.add(recorded.position, rule, place_of(it.originator_id, it.originator_version), sentence)

    def _tell(self, row: StoredRow, rule: Rule, sentence: str) -> None:
        self._findings.add(row.position, rule, place_of(row.stream_id, row.version), sentence)
