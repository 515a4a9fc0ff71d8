"""The table `event_search`: one row per event, what a search for words looks through."""

from uuid import UUID

import msgspec

from domain.event_facts import EventCreated, EventDetailsChanged
from projections.tables.table import Table, one_per_stream
from projections.text_keys import pieces, text_key


class EventSearchRow(msgspec.Struct, frozen=True, gc=False):
    """What an event is found by; the table's comments say what each column means."""

    event_id: UUID
    search_text: str
    pieces: list[int]
    position: int


def fold(
    _row: EventSearchRow | None, event_id: UUID, position: int, domain_event: EventCreated | EventDetailsChanged
) -> EventSearchRow:
    """The event's row after the domain event at `position`."""
    details = domain_event.details
    search_text = text_key(f"{details.title}\n{details.description or ''}")
    return EventSearchRow(event_id, search_text, pieces(search_text.split()), position)


TABLE = Table(
    name="event_search",
    key="event_id",
    row=EventSearchRow,
    changed_keys=dict.fromkeys((EventCreated, EventDetailsChanged), one_per_stream),
    births=frozenset({EventCreated, EventDetailsChanged}),
    fold=fold,
    stream="event_id",
)
