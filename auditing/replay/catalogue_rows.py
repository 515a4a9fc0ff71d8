"""One event and its ticket types as the live tables would show them, anywhere along its stream."""

from collections.abc import Iterable
from typing import cast
from uuid import UUID

from eventstore.reading import Recorded
from projections.projector.folding import Folding
from projections.tables import events, ticket_types
from projections.tables.events import EventRow
from projections.tables.ticket_types import TicketTypeRow


class CatalogueRows:
    """Folds the tables `events` and `ticket_types` of one event; memory grows with its ticket types only."""

    def __init__(self) -> None:
        self._folding = Folding((events.TABLE, ticket_types.TABLE))

    def fold(self, recorded: Iterable[Recorded]) -> list[TicketTypeRow]:
        """Take the next domain events of the event's stream; returns the ticket types' rows that have changed.

        Raises `FoldFailed`.
        """
        return cast(list[TicketTypeRow], list(self._folding.fold(recorded)["ticket_types"].values()))

    @property
    def event(self) -> EventRow:
        """The event's row, once it was created."""
        (row,) = self._folding.rows["events"].values()
        return cast(EventRow, row)

    @property
    def ticket_types(self) -> list[TicketTypeRow]:
        """The rows of its ticket types, in the organiser's order."""
        return cast(list[TicketTypeRow], list(self._folding.rows["ticket_types"].values()))

    def ticket_type(self, ticket_type_id: UUID | None) -> TicketTypeRow | None:
        """The row of one ticket type; None when the event has no such."""
        return cast(TicketTypeRow | None, self._folding.rows["ticket_types"].get(ticket_type_id))
