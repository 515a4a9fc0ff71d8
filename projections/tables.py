"""The table of contents: every projection there is. A new one is a module, a .sql file and a line here."""

from projections import audit_trail, events, reservations, ticket_types
from projections.table import Table

TABLES: tuple[Table, ...] = (
    events.TABLE,
    ticket_types.TABLE,
    reservations.TABLE,
    audit_trail.TABLE,
)
