"""The table of contents: every projection there is. A new one is a module, a .sql file and a line here."""

from projections.tables import audit_trail, events, reservations, sales_by_minute, ticket_types
from projections.tables.search import event_search
from projections.tables.steps import capacity_changes, reductions
from projections.tables.table import Table

TABLES: tuple[Table, ...] = (
    events.TABLE,
    event_search.TABLE,
    ticket_types.TABLE,
    reservations.TABLE,
    reductions.TABLE,
    sales_by_minute.TABLE,
    capacity_changes.TABLE,
    audit_trail.TABLE,
)
