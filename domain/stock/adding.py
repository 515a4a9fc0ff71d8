"""The rules of adding a ticket type to an event."""

from datetime import datetime

from domain.commands import AddTicketType
from domain.decision import Decision, Draft, Read
from domain.errors import IdempotencyKeyReused, InvalidRequest
from domain.event_facts import TicketTypeAdded
from domain.inventory import MOST_TICKET_TYPES, StockRecord
from domain.organising import changed_event, check_can_change, check_organiser, found_event, recorded_before
from domain.stock.type_names import same_looking


def add_ticket_type(command: AddTicketType, read: Read, at: datetime) -> Decision:
    """Offer another kind of ticket, behind those that there are."""
    event = found_event(read)
    check_organiser(command.actor, event)
    if again := recorded_before(command, event):
        return again
    offer = command.ticket_type
    if known := event.stock.get(offer.ticket_type_id):
        # Its id is made of the key, and the event no longer remembers the key itself; these two never change.
        if (known.offer.name, known.offer.currency) != (offer.name, offer.currency):
            raise IdempotencyKeyReused
        return Decision((), event.record, event.id, event.version, replayed=True)
    check_can_change(command, event, at)
    if len(event.stock) >= MOST_TICKET_TYPES:
        raise InvalidRequest("ticket_types", f"must not be more than {MOST_TICKET_TYPES}")
    if same_looking(offer.name) in {same_looking(stock.offer.name) for stock in event.stock.values()}:
        raise InvalidRequest("name", "must not be that of another ticket type, nor look the same")
    draft = Draft(command, at)
    draft.add(
        TicketTypeAdded,
        event.id,
        event.version,
        ticket_type=offer,
        place=len(event.stock) + 1,
        idempotency=command.idempotency,
    )
    return changed_event(draft, event, stock=(*event.record.stock, StockRecord(offer, offer.capacity)))
