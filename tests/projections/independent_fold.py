"""What the tables have to show of a history, worked out from its domain events without the project's fold."""

from collections.abc import Iterable
from datetime import timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID
from zlib import crc32

from psycopg.rows import dict_row

from domain.domain_event import DomainEvent
from eventstore.postgres.connections import Connection
from tests.projections.histories import Command

TABLES = {
    "events": (itemgetter("event_id"), "SELECT * FROM events"),
    "event_search": (itemgetter("event_id"), "SELECT * FROM event_search"),
    "ticket_types": (itemgetter("ticket_type_id"), "SELECT * FROM ticket_types"),
    "reservations": (itemgetter("reservation_id"), "SELECT * FROM reservations"),
    "sales_by_minute": (itemgetter("event_id", "minute", "ticket_type_id"), "SELECT * FROM sales_by_minute"),
    "reductions": (itemgetter("position"), "SELECT * FROM reductions"),
    "capacity_changes": (itemgetter("ticket_type_id", "position"), "SELECT * FROM capacity_changes"),
    "audit_trail": (itemgetter("position"), "SELECT * FROM audit_trail"),
}
GIVEN_BACK = ("TicketsReduced", "TicketsReleased")
COUNTS = ("placed", "paid", "expired", "cancelled", "returned")

Shown = dict[str, dict[Any, dict[str, Any]]]


async def shown_by(connection: Connection) -> Shown:
    """Every row and column of every table, by key."""
    shown: Shown = {}
    for table, (key_of, query) in TABLES.items():
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(query)
            shown[table] = {key_of(row): row for row in await cursor.fetchall()}
    return shown


def expected_of(commands: Iterable[Command]) -> Shown:
    """Every row and column, as the history from position 1 on demands."""
    books = Books()
    domain_events = [domain_event for command in commands for domain_event in command]
    for position, domain_event in enumerate(domain_events, start=1):
        books.read(position, domain_event)
    for ticket_type in books.ticket_types.values():
        gone = ticket_type["withheld"] + ticket_type["reserved"] + ticket_type["paid"]
        ticket_type["available"] = ticket_type["capacity"] - gone
    return {name: getattr(books, name) for name in TABLES}


class Books:
    """One line of an account book after the other."""

    def __init__(self) -> None:
        self.events: dict[Any, dict[str, Any]] = {}
        self.event_search: dict[Any, dict[str, Any]] = {}
        self.ticket_types: dict[Any, dict[str, Any]] = {}
        self.reservations: dict[Any, dict[str, Any]] = {}
        self.sales_by_minute: dict[Any, dict[str, Any]] = {}
        self.reductions: dict[Any, dict[str, Any]] = {}
        self.capacity_changes: dict[Any, dict[str, Any]] = {}
        self.audit_trail: dict[Any, dict[str, Any]] = {}

    def read(self, position: int, it: Any) -> None:
        topic = it.TOPIC
        if topic == "HoldExtended":
            self.ticket_types[it.ticket_type_id]["position"] = position
            return
        of_purchase = topic in ("TicketsHeld", "TicketsSold", "TicketsReduced", "TicketsReleased")
        if topic == "TicketsReduced":
            self.part(position, it)
        if not of_purchase:
            self.step(position, it)
        if topic.startswith("Reservation"):
            self.purchase(topic, it, position)
        if of_purchase or topic in ("CapacityChanged", "PriceChanged", "TicketsWithheld", "TicketsReturned"):
            self.inventory(topic, it, position)
            self.ticket_types[it.ticket_type_id]["position"] = position
        if of_purchase:
            self.sales(topic, it)["position"] = position
        if not of_purchase and not topic.startswith("Reservation"):
            self.programme(topic, it, position)
            changed = {"position": position, "changed_at": it.timestamp, "edition": it.originator_version}
            self.events[it.originator_id] |= changed

    def part(self, position: int, it: Any) -> None:
        names = ("reservation_id", "ticket_type_id", "buyer_id", "quantity", "refund_due_minor", "currency")
        self.reductions[position] = {
            **{name: getattr(it, name) for name in names},
            "position": position,
            "event_id": it.originator_id,
            "reduced_at": it.timestamp,
            "was_paid": it.was == "sold",
        }

    def step(self, position: int, it: Any) -> None:
        of_reservation = it.TOPIC.startswith("Reservation")
        self.audit_trail[position] = {
            "position": position,
            "version": it.originator_version,
            "type": it.TOPIC,
            "event_id": it.event_id if of_reservation else it.originator_id,
            "reservation_id": it.originator_id if of_reservation else None,
            "actor_id": UUID(it.actor_id) if it.actor_id != "system" else None,
            "request_id": it.request_id,
            "recorded_at": it.timestamp,
        }

    def purchase(self, topic: str, it: Any, position: int) -> None:
        if topic == "ReservationPlaced":
            copied = ("event_id", "ticket_type_id", "buyer_id", "quantity", "amount_minor", "currency")
            self.reservations[it.originator_id] = {
                **{name: getattr(it, name) for name in copied},
                **dict.fromkeys(
                    ("extended_at", "paid_at", "payment_reference", "expired_at", "cancelled_at", "cancel_reason")
                ),
                "reservation_id": it.originator_id,
                "hold_expires_at": it.hold_expires_at,
                "placed_at": it.timestamp,
                "refund_due_minor": 0,
            }
        row = self.reservations[it.originator_id]
        if topic == "ReservationExtended":
            row["hold_expires_at"] = it.hold_expires_at
        if topic == "ReservationPaid":
            row["payment_reference"] = it.payment_reference
        if topic == "ReservationCancelled":
            row["cancel_reason"] = it.reason
        if topic in ("ReservationReduced", "ReservationCancelled"):
            row["refund_due_minor"] += it.refund_due_minor
        row["position"] = position
        if topic == "ReservationReduced":
            row["quantity"], row["amount_minor"] = it.quantity, it.amount_minor
            return
        verb = topic.removeprefix("Reservation").lower()
        row[f"{verb}_at"] = it.timestamp
        row["status"] = "reserved" if verb in ("placed", "extended") else verb

    def inventory(self, topic: str, it: Any, position: int) -> None:
        row = self.ticket_types[it.ticket_type_id]
        if topic == "CapacityChanged":
            row["capacity"] = it.capacity
            self.capacity_step(row, it, position, capacity=it.capacity)
        if topic == "PriceChanged":
            row["amount_minor"] = it.amount_minor
        if topic in ("TicketsWithheld", "TicketsReturned"):
            more = it.quantity if topic == "TicketsWithheld" else -it.quantity
            row["withheld"] += more
            self.capacity_step(row, it, position, withheld=more)
        if topic == "TicketsHeld":
            row["reserved"] += it.quantity
        if topic == "TicketsSold" or (topic in GIVEN_BACK and it.was == "held"):
            row["reserved"] -= it.quantity
        if topic == "TicketsSold":
            row["paid"] += it.quantity
        if topic in GIVEN_BACK and it.was == "sold":
            row["paid"] -= it.quantity

    def capacity_step(self, ticket_type: dict[str, Any], it: Any, position: int, **step: int) -> None:
        ids = {name: ticket_type[name] for name in ("ticket_type_id", "event_id")}
        row = {**ids, "position": position, "changed_at": it.timestamp, "capacity": None, "withheld": 0}
        self.capacity_changes[ids["ticket_type_id"], position] = row | step

    def sales(self, topic: str, it: Any) -> dict[str, Any]:
        into_the_minute = timedelta(seconds=it.timestamp.second, microseconds=it.timestamp.microsecond)
        key = (it.originator_id, it.timestamp - into_the_minute, it.ticket_type_id)
        blank = dict.fromkeys((*COUNTS, *(f"tickets_{count}" for count in COUNTS), "revenue_minor", "refunds_minor"), 0)
        names = dict(zip(("event_id", "minute", "ticket_type_id"), key, strict=True))
        row = self.sales_by_minute.setdefault(key, names | blank | {"currency": None})
        if topic in GIVEN_BACK:
            expired = topic == "TicketsReleased" and it.reason == "expired"
            steps = ["expired" if expired else "cancelled", *["returned"] * (it.was == "sold")]
        else:
            steps = [{"TicketsHeld": "placed", "TicketsSold": "paid"}[topic]]
        for step in steps:
            row[step] += topic != "TicketsReduced"
            row[f"tickets_{step}"] += it.quantity
        facts = it._as_dict()
        row["revenue_minor"] += facts.get("amount_minor", 0)
        row["refunds_minor"] += facts.get("refund_due_minor", 0)
        row["currency"] = facts.get("currency", row["currency"])
        return row

    def programme(self, topic: str, it: Any, position: int) -> None:
        facts = it._as_dict()
        row = self.events.setdefault(it.originator_id, {"event_id": it.originator_id})
        for part in ("details", "sales_window", "limits"):
            if part in facts:
                row |= {name: getattr(facts[part], name) for name in facts[part].__struct_fields__}
        if "details" in facts:
            self.make_found(row, position)
        if topic == "EventCreated":
            row |= {"organiser_id": facts["organiser_id"], "created_at": it.timestamp}
            row |= {"status": "scheduled", "cancelled_at": None}
            for place, offer in enumerate(it.ticket_types, start=1):
                self.put_on_sale(it, offer, place, position)
        if topic == "TicketTypeAdded":
            places = [t["place"] for t in self.ticket_types.values() if t["event_id"] == it.originator_id]
            self.put_on_sale(it, it.ticket_type, max(places) + 1, position)
        if topic == "EventCancelled":
            row |= {"status": "cancelled", "cancelled_at": it.timestamp}

    def make_found(self, event: dict[str, Any], position: int) -> None:
        """Random histories have no letter outside of ASCII but one, and no place that is spaced otherwise."""
        for place in ("city", "state", "country"):
            event[f"{place}_key"] = event[place] and event[place].lower()
        text = f"{event['title']}\n{event['description'] or ''}".lower().replace("æ", "ae")
        threes = {word[i : i + 3] for word in text.split() for i in range(len(word) - 2)}
        self.event_search[event["event_id"]] = {
            "event_id": event["event_id"],
            "search_text": text,
            "pieces": sorted(crc32(three.encode()) - 2**31 for three in threes),
            "position": position,
        }

    def put_on_sale(self, it: DomainEvent, offer: Any, place: int, position: int) -> None:
        self.ticket_types[offer.ticket_type_id] = {
            **{name: getattr(offer, name) for name in offer.__struct_fields__},
            **dict.fromkeys(("reserved", "paid", "withheld"), 0),
            "event_id": it.originator_id,
            "place": place,
            "position": position,
        }
        self.capacity_step(self.ticket_types[offer.ticket_type_id], it, position, capacity=offer.capacity)
