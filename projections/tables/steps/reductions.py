"""The table `reductions`: one row per part of a reservation that was given back while the rest of it went on."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from domain.event_facts import TicketsReduced
from projections.tables.table import Table


class ReductionRow(msgspec.Struct, frozen=True, gc=False):
    """A part that was given back; the table's comments say what each column means."""

    position: int
    event_id: UUID
    reservation_id: UUID
    ticket_type_id: UUID
    buyer_id: UUID
    reduced_at: datetime
    quantity: int
    was_paid: bool
    refund_due_minor: int
    currency: str


def fold(_row: None, position: int, _position: int, reduced: Any) -> ReductionRow:
    """The row of the domain event at `position`."""
    return ReductionRow(
        position,
        reduced.originator_id,
        reduced.reservation_id,
        reduced.ticket_type_id,
        reduced.buyer_id,
        reduced.timestamp,
        reduced.quantity,
        reduced.was == "sold",
        reduced.refund_due_minor,
        reduced.currency,
    )


def _its_position(_reduced: TicketsReduced, position: int) -> tuple[int]:
    return (position,)


TABLE = Table(
    name="reductions",
    key="position",
    row=ReductionRow,
    changed_keys={TicketsReduced: _its_position},
    births=frozenset({TicketsReduced}),
    fold=fold,
    stream="event_id",
    insert_only=True,
)
