"""Proves from the stored rows alone, with none of the project's own code, that a history breaks no rule.

And that the projections are what it adds up to. `faults(url)` returns a sentence per fault, none when all is well. All
of it is read at one moment: while a worker lives, a hold may expire between any two.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg

ROWS = """
SELECT notification_id, command_position, originator_id::text, originator_version, topic, convert_from(state, 'UTF8')
FROM tixxety.stored_events ORDER BY notification_id
"""
RESERVATIONS = "SELECT reservation_id::text, status, quantity FROM projections.reservations"
TICKET_TYPES = """
SELECT ticket_type_id::text, capacity, reserved, paid, withheld, available FROM projections.ticket_types
"""
EVENTS = "SELECT event_id::text, status FROM projections.events"
CHECKPOINT = "SELECT position FROM projections.checkpoint"
BEHIND = """
SELECT position < (SELECT coalesce(max(notification_id), 0) FROM tixxety.stored_events) FROM projections.checkpoint
"""
FOLDED_SECONDS_MAX = 30

NEXT = {
    None: {"ReservationPlaced": "reserved"},
    "reserved": {
        "ReservationExtended": "reserved",
        "ReservationReduced": "reserved",
        "ReservationPaid": "paid",
        "ReservationExpired": "expired",
        "ReservationCancelled": "cancelled",
    },
    "paid": {"ReservationReduced": "paid", "ReservationCancelled": "cancelled"},
}
# What may come at any step while it goes on, and changes none.
ON_THE_WAY = ("HoldExtended", "TicketsReduced")


class Books:
    """What an accountant would write down while reading the history once."""

    def __init__(self) -> None:
        self.versions: Counter[str] = Counter()
        self.capacity: dict[str, int] = {}
        self.held: Counter[str] = Counter()
        self.sold: Counter[str] = Counter()
        self.withheld: Counter[str] = Counter()
        self.limit: dict[str, int] = {}
        self.of_buyer: Counter[tuple[str, str]] = Counter()
        self.status: dict[str, str] = {}
        self.quantity: dict[str, int] = {}
        self.deadline: dict[str, datetime] = {}
        self.event_of: dict[str, str] = {}
        self.event_status: dict[str, str] = {}
        self.said_by_event: dict[str, list[str]] = defaultdict(list)
        self.last_time: dict[str, datetime] = {}

    def read(self, stream: str, topic: str, facts: dict[str, Any]) -> Iterator[str]:
        """Take one domain event down; yields what is wrong with it."""
        at = datetime.fromisoformat(facts["timestamp"])
        if at < self.last_time.get(stream, at):
            yield f"time runs backwards in {stream}"
        self.last_time[stream] = at
        if topic.startswith("Reservation"):
            yield from self._purchase(stream, topic, facts, at)
        else:
            yield from self._inventory(stream, topic, facts)

    def counts(self, ticket_type: str) -> tuple[int, int, int]:
        """How many tickets of a type are held, sold and withheld."""
        return self.held[ticket_type], self.sold[ticket_type], self.withheld[ticket_type]

    def _inventory(self, event: str, topic: str, facts: dict[str, Any]) -> Iterator[str]:
        ticket_type, quantity = facts.get("ticket_type_id", ""), facts.get("quantity", 0)
        match topic:
            case "EventCreated":
                self.capacity |= {t["ticket_type_id"]: t["capacity"] for t in facts["ticket_types"]}
                self.limit[event] = facts["limits"]["max_per_buyer"]
                self.event_status[event] = "scheduled"
            case "TicketTypeAdded":
                self.capacity[facts["ticket_type"]["ticket_type_id"]] = facts["ticket_type"]["capacity"]
            case "CapacityChanged":
                self.capacity[ticket_type] = facts["capacity"]
            case "LimitsChanged":
                self.limit[event] = facts["limits"]["max_per_buyer"]
            case "EventCancelled":
                self.event_status[event] = "cancelled"
            case "TicketsHeld":
                self.held[ticket_type] += quantity
                self.of_buyer[event, facts["buyer_id"]] += quantity
                if self.of_buyer[event, facts["buyer_id"]] > self.limit[event]:
                    yield f"a buyer has more than {self.limit[event]} tickets of {event}"
                if self.event_status[event] == "cancelled":
                    yield f"tickets of the cancelled {event} were held"
            case "TicketsWithheld":
                self.withheld[ticket_type] += quantity
            case "TicketsReturned":
                self.withheld[ticket_type] -= quantity
            case "TicketsSold":
                self.held[ticket_type] -= quantity
                self.sold[ticket_type] += quantity
            case "TicketsReduced" | "TicketsReleased":
                (self.held if facts["was"] == "held" else self.sold)[ticket_type] -= quantity
                self.of_buyer[event, facts["buyer_id"]] -= quantity
        counts = self.counts(ticket_type)
        if ticket_type and sum(counts) > self.capacity[ticket_type]:
            yield f"{ticket_type} is oversold"
        if min(counts) < 0:
            yield f"{ticket_type} has fewer than no tickets taken or withheld"
        if "reservation_id" in facts:
            self.said_by_event[facts["reservation_id"]] += [topic] if topic not in ON_THE_WAY else []

    def _purchase(self, stream: str, topic: str, facts: dict[str, Any], at: datetime) -> Iterator[str]:
        before = self.status.get(stream)
        if topic not in NEXT.get(before, {}):
            yield f"{topic} follows {before} in {stream}"
            return
        self.status[stream] = NEXT[before][topic]
        if topic in ("ReservationPlaced", "ReservationExtended"):
            self.deadline[stream] = datetime.fromisoformat(facts["hold_expires_at"])
        if topic in ("ReservationPlaced", "ReservationReduced"):
            self.quantity[stream] = facts["quantity"]
        if topic == "ReservationPlaced":
            self.event_of[stream] = facts["event_id"]
        if topic == "ReservationPaid" and at >= self.deadline[stream]:
            yield f"{stream} was paid at or after its deadline"
        if topic == "ReservationExpired" and at < self.deadline[stream]:
            yield f"{stream} expired before its deadline"

    def disagreements(self) -> Iterator[str]:
        """Where the two streams of one purchase tell different stories."""
        stories = {
            "reserved": [["TicketsHeld"]],
            "paid": [["TicketsHeld", "TicketsSold"]],
            "expired": [["TicketsHeld", "TicketsReleased"]],
            "cancelled": [["TicketsHeld", "TicketsReleased"], ["TicketsHeld", "TicketsSold", "TicketsReleased"]],
        }
        for reservation, status in self.status.items():
            if self.said_by_event[reservation] not in stories[status]:
                yield f"{reservation} is {status}, its event says {self.said_by_event[reservation]}"
        if strangers := self.said_by_event.keys() - self.status.keys():
            yield f"the events know reservations that were never placed: {sorted(strangers)}"


def read_history(connection: psycopg.Connection[Any], found: list[str]) -> Books:
    """Read all of it once, in order."""
    books = Books()
    expected, command_end = 1, 0
    for position, command_position, stream, version, topic, state in connection.execute(ROWS):
        if position != expected:
            found.append(f"position {position} where {expected} is due")
        if position > command_end:
            command_end = command_position
        if command_position != command_end:
            found.append(f"the command at position {position} ends at {command_position} and at {command_end}")
        books.versions[stream] += 1
        if version != books.versions[stream]:
            found.append(f"version {version} of {stream} where {books.versions[stream]} is due")
        found += [f"{fault} (position {position})" for fault in books.read(stream, topic, json.loads(state))]
        expected = position + 1
    if expected - 1 != command_end:
        found.append(f"the history ends at {expected - 1}, inside a command that ends at {command_end}")
    found += books.disagreements()
    return books


def begin_projected(connection: psycopg.Connection[Any]) -> None:
    """Leave the connection in a transaction that sees the whole history folded, or the last one after half a minute."""
    for _ in range(FOLDED_SECONDS_MAX * 20):
        if connection.execute(BEHIND).fetchone() == (False,):
            return
        connection.execute("SELECT pg_sleep(0.05)")
        connection.rollback()


def faults(database_url: str, *, projected: bool = True) -> list[str]:
    """Everything that is wrong. With `projected` it waits for a moment at which the projections show all, and agree."""
    found: list[str] = []
    with psycopg.connect(database_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        if projected:
            begin_projected(connection)
        books = read_history(connection, found)
        if not projected:
            return found
        if (folded := connection.execute(CHECKPOINT).fetchone()) != (books.versions.total(),):
            found.append(f"the projections are at {folded}, the history at {books.versions.total()}")
        rows = {row[0]: row[1:] for row in connection.execute(RESERVATIONS)}
        if rows != {i: (status, books.quantity[i]) for i, status in books.status.items()}:
            found.append("the table reservations differs from the history")
        counts = {row[0]: row[1:] for row in connection.execute(TICKET_TYPES)}
        if counts != {
            i: (total, *books.counts(i), total - sum(books.counts(i))) for i, total in books.capacity.items()
        }:
            found.append("the table ticket_types differs from the history")
        if dict(connection.execute(EVENTS).fetchall()) != books.event_status:
            found.append("the table events differs from the history")
    return found
