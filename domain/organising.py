"""The rules of an organiser's work: create an event, change it, cancel it."""

from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from unicodedata import normalize
from uuid import UUID

import msgspec
from msgspec import UNSET

from domain.commands import Actor, CancelEvent, ChangeEvent, Command, CreateEvent, OrganiserCommand
from domain.decision import Decision, Draft, Read, replay, unchanged
from domain.domain_event import Aggregate
from domain.due_holds import check_due_holds, due_holds_for, expire_holds
from domain.errors import (
    CapacityBelowTaken,
    ChangedMeanwhile,
    EventEnded,
    EventExists,
    EventIsCancelled,
    EventNotFound,
    IdempotencyKeyReused,
    InvalidRequest,
    NotTheOrganiser,
    TicketTypeNotFound,
    TicketTypeRequired,
)
from domain.event_facts import (
    CapacityChanged,
    EventCancelled,
    EventCreated,
    EventDetails,
    EventDetailsChanged,
    LimitsChanged,
    PriceChanged,
    SalesWindow,
    SalesWindowChanged,
)
from domain.inventory import NO_CURRENCY, StockRecord
from domain.ticketed_event import TicketedEvent, created_record

Values = TypeVar("Values", bound=msgspec.Struct)


class EventName(NamedTuple):
    """What no two events that are not cancelled share."""

    organiser_id: UUID
    title_folded: str
    starts_at: datetime


def name_of(organiser_id: UUID, details: EventDetails) -> EventName:
    """Titles that differ only in case, or in how their accents are encoded, are the same name."""
    return EventName(organiser_id, normalize("NFC", details.title.strip().lower()), details.starts_at)


def new_name(command: Command, event: Aggregate | None) -> EventName | None:
    """The name that the command asks for its event, None when it asks for none that the event has not already."""
    if isinstance(command, CreateEvent):
        return name_of(command.actor.account_id, command.details)
    if not isinstance(command, ChangeEvent) or not isinstance(event, TicketedEvent):
        return None
    asked = name_of(event.created.organiser_id, _changed(event.details, command))
    return asked if asked != name_of(event.created.organiser_id, event.details) else None


def names_of(command: Command, event: Aggregate | None) -> UUID | None:
    """The organiser whose events' names the command may change; None when it changes none, or there is no event."""
    if isinstance(command, CreateEvent):
        return command.actor.account_id
    return event.created.organiser_id if command.changes_names and isinstance(event, TicketedEvent) else None


def create(command: CreateEvent, read: Read, at: datetime) -> Decision:
    """Put an event on the programme."""
    event = read.find(TicketedEvent)
    if event is not None and (again := replay(command, event.created, created_record(event.created))):
        return again
    if read.name_holder_id is not None:
        raise EventExists(read.name_holder_id)
    _check_times(command.details, command.sales_window)
    if command.details.starts_at <= at:
        raise InvalidRequest("starts_at", "must lie in the future")
    draft = Draft(command, at)
    created = draft.add(
        EventCreated,
        command.event_id,
        0,
        organiser_id=command.actor.account_id,
        details=command.details,
        ticket_types=command.ticket_types,
        sales_window=command.sales_window,
        limits=command.limits,
        idempotency=command.idempotency,
    )
    return draft.decision(created_record(created), command.event_id, 0)


def change(command: ChangeEvent, read: Read, at: datetime) -> Decision:
    """Change details, sales window, limits, capacities and prices, all or nothing; equal values record nothing.

    Raises `TooManyDueHolds` when a lower capacity needs more of them taken back than one command may.
    """
    event = found_event(read)
    check_organiser(command.actor, event)
    if again := recorded_before(command, event):
        return again
    check_can_change(command, event, at)
    details, sales_window = _changed(event.details, command), _changed(event.sales_window, command)
    limits = _changed(event.limits, command)
    _check_times(details, sales_window)
    if details.starts_at != event.details.starts_at and details.starts_at <= at:
        raise InvalidRequest("starts_at", "must lie in the future")
    if details.ends_at != event.details.ends_at and details.ends_at <= at:
        raise InvalidRequest("ends_at", "must lie in the future")
    if read.name_holder_id not in (None, event.id):
        raise EventExists(read.name_holder_id)
    capacities = _capacities_asked_for(event, command)
    _check_prices(event, command.prices)

    draft = Draft(command, at)
    stock = _make_room(draft, event, capacities)
    if details != event.details:
        draft.add(EventDetailsChanged, event.id, event.version, details=details)
    if sales_window != event.sales_window:
        draft.add(SalesWindowChanged, event.id, event.version, sales_window=sales_window)
    if limits != event.limits:
        draft.add(LimitsChanged, event.id, event.version, limits=limits)
    for ticket_type_id, capacity in capacities.items():
        if capacity != event.stock[ticket_type_id].capacity:
            draft.add(CapacityChanged, event.id, event.version, ticket_type_id=ticket_type_id, capacity=capacity)
    for ticket_type_id, amount_minor in command.prices.items():
        if amount_minor != event.stock[ticket_type_id].offer.amount_minor:
            price: dict[str, Any] = {"ticket_type_id": ticket_type_id, "amount_minor": amount_minor}
            draft.add(PriceChanged, event.id, event.version, **price)
    priced = tuple(_priced(record, command.prices) for record in stock.values())
    return changed_event(draft, event, details=details, sales_window=sales_window, limits=limits, stock=priced)


def cancel(command: CancelEvent, read: Read, at: datetime) -> Decision:
    """Call an event off, also after its end. Its reservations are ended one by one afterwards."""
    event = found_event(read)
    cancelled_before = event.cancelled_record
    if cancelled_before and (again := replay(command, event.cancelled, cancelled_before)):
        return again
    check_organiser(command.actor, event)
    check_edition(command, event)
    if event.cancelled and cancelled_before:
        return unchanged(event.cancelled, cancelled_before)
    draft = Draft(command, at)
    cancelled = draft.add(EventCancelled, event.id, event.version, idempotency=command.idempotency)
    return changed_event(draft, event, cancelled=cancelled)


def found_event(read: Read) -> TicketedEvent:
    """The event that the command is about. Raises `EventNotFound`."""
    event = read.find(TicketedEvent)
    if event is None:
        raise EventNotFound
    return event


def check_organiser(actor: Actor, event: TicketedEvent) -> None:
    """Raises `NotTheOrganiser`."""
    if not event.is_organised_by(actor):
        raise NotTheOrganiser


def recorded_before(command: OrganiserCommand, event: TicketedEvent) -> Decision | None:
    """The event as it stands, where the command, or one with its key, is among those that have changed it last.

    Raises `IdempotencyKeyReused` where the key came with another request.
    """
    again = Decision((), event.record, event.id, event.version)
    if command.request_id in event.changed_by:
        return again
    if command.idempotency is None or (request_sha256 := event.keys.get(command.idempotency.key_sha256)) is None:
        return None
    if request_sha256 != command.idempotency.request_sha256:
        raise IdempotencyKeyReused
    return again._replace(replayed=True)


def check_edition(command: OrganiserCommand, event: TicketedEvent) -> None:
    """Raises `ChangedMeanwhile` where the command is meant for another edition of the event."""
    if command.editions is not None and event.edition not in command.editions:
        raise ChangedMeanwhile(event.edition)


def check_can_change(command: OrganiserCommand, event: TicketedEvent, at: datetime) -> None:
    """Raises `ChangedMeanwhile`, `EventIsCancelled`, `EventEnded`."""
    check_edition(command, event)
    if event.cancelled:
        raise EventIsCancelled
    if at >= event.ends_at:
        raise EventEnded


def changed_event(draft: Draft, event: TicketedEvent, **values: Any) -> Decision:
    """All that was drafted, answered with the event as it becomes by it; the organiser's change stands last in it."""
    taken_back = {it.originator_id for it in draft.domain_events}
    record = event.record._replace(first_hold_ends_at=event.first_hold_ends_at(taken_back), **values)
    if draft.domain_events:
        record = record._replace(edition=draft.version_after(event.id, event.version))
    return draft.decision(record, event.id, event.version)


def _check_times(details: EventDetails, sales_window: SalesWindow) -> None:
    sales_open_at, sales_close_at = sales_window.sales_open_at, sales_window.sales_close_at
    if details.starts_at >= details.ends_at:
        raise InvalidRequest("ends_at", "must be later than starts_at")
    if sales_close_at and sales_close_at > details.ends_at:
        raise InvalidRequest("sales_close_at", "must not be later than ends_at")
    if sales_open_at and sales_open_at >= (sales_close_at or details.ends_at):
        raise InvalidRequest("sales_open_at", "must be earlier than the close of sales")


def _changed(values: Values, command: ChangeEvent) -> Values:
    """The same values with those that the command sets."""
    asked = {name: getattr(command, name) for name in values.__struct_fields__}
    return msgspec.structs.replace(values, **{name: value for name, value in asked.items() if value is not UNSET})


def _make_room(draft: Draft, event: TicketedEvent, capacities: dict[UUID, int]) -> dict[UUID, StockRecord]:
    """Expire as many due holds as the new capacities need; returns the stock with these."""
    stock = {record.offer.ticket_type_id: record for record in event.record.stock}
    for ticket_type_id, capacity in capacities.items():
        of_type = event.stock[ticket_type_id]
        freed, due = due_holds_for(event, of_type, capacity - of_type.withheld, draft.at)
        if of_type.taken - freed + of_type.withheld > capacity:
            raise CapacityBelowTaken(ticket_type_id, of_type.taken - freed + of_type.withheld)
        check_due_holds(due)
        expire_holds(draft, event, due)
        before = stock[ticket_type_id]
        stock[ticket_type_id] = before._replace(capacity=capacity, held=before.held - freed)
    return stock


def _check_prices(event: TicketedEvent, prices: dict[UUID, int]) -> None:
    for ticket_type_id, amount_minor in prices.items():
        if ticket_type_id not in event.stock:
            raise TicketTypeNotFound
        if amount_minor and event.stock[ticket_type_id].offer.currency == NO_CURRENCY:
            raise InvalidRequest("amount_minor", "must be 0, since the ticket type has no currency")


def _priced(record: StockRecord, prices: dict[UUID, int]) -> StockRecord:
    amount_minor = prices.get(record.offer.ticket_type_id, record.offer.amount_minor)
    return record._replace(offer=msgspec.structs.replace(record.offer, amount_minor=amount_minor))


def _capacities_asked_for(event: TicketedEvent, command: ChangeEvent) -> dict[UUID, int]:
    if command.total_tickets is not UNSET:
        if len(event.stock) > 1:
            raise TicketTypeRequired
        return {next(iter(event.stock)): command.total_tickets}
    if not event.stock.keys() >= command.capacities.keys():
        raise TicketTypeNotFound
    return command.capacities
