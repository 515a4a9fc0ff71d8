"""The fold of all tables at once, in memory: rows and domain events in, changed rows out. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from domain.domain_event import DomainEvent
from eventstore.reading import Recorded
from projections.errors import FoldFailed
from projections.tables.all_tables import TABLES
from projections.tables.table import Key, Row, Table

Rows = dict[Key, Row]


class RowChange(NamedTuple):
    """What one type of domain event does to one table."""

    table: Table
    keys: Callable[[Any, int], Iterable[Key]]
    is_birth: bool


def changed_keys(tables: Sequence[Table]) -> dict[type[DomainEvent], tuple[RowChange, ...]]:
    """For each type of domain event that any of the tables folds: all that it touches."""
    types = {domain_event for table in tables for domain_event in table.changed_keys}
    return {
        domain_event: tuple(
            RowChange(table, table.changed_keys[domain_event], domain_event in table.births)
            for table in tables
            if domain_event in table.changed_keys
        )
        for domain_event in types
    }


class Folding:
    """Rows of all `tables`, as far as they are known. Starts knowing nothing, which is right before position 1.

    To fold on from tables that exist, ask for the `missing` rows of what comes next, `learn` them, then `fold`.
    Memory grows with the rows known; `forget` bounds it.
    """

    def __init__(self, tables: Sequence[Table] = TABLES) -> None:
        self.tables = tables
        self.rows: dict[str, Rows] = {table.name: {} for table in tables}
        self._changes = changed_keys(tables)
        # Without those tables whose every row is made by one domain event: nothing has to be known of them.
        self._reads = changed_keys([table for table in tables if not table.births.issuperset(table.changed_keys)])

    def missing(self, recorded: Iterable[Recorded]) -> list[tuple[Table, list[Key]]]:
        """The keys of rows that have to be known before folding these, by table; tables that need none are left out."""
        seen: dict[str, set[Key]] = {table.name: set() for table in self.tables}
        needed: dict[str, list[Key]] = {table.name: [] for table in self.tables}
        for position, _, domain_event in recorded:
            for table, keys, is_birth in self._reads.get(type(domain_event), ()):
                name = table.name
                for key in keys(domain_event, position):
                    if key in seen[name] or key in self.rows[name]:
                        continue
                    seen[name].add(key)
                    if not is_birth:
                        needed[name].append(key)
        return [(table, needed[table.name]) for table in self.tables if needed[table.name]]

    def learn(self, table: Table, rows: Iterable[Row]) -> None:
        """Take rows as they are in the table."""
        key_of = table.key_of
        self.rows[table.name].update((key_of(row), row) for row in rows)

    def fold(self, recorded: Iterable[Recorded]) -> dict[str, Rows]:
        """Fold domain events in order; returns the rows that changed, by table. Raises `FoldFailed`.

        After a failure the rows are those of somewhere within: forget everything.
        """
        changed: dict[str, Rows] = {table.name: {} for table in self.tables}
        steps = {
            domain_event: [(keys, table.fold, self.rows[table.name], changed[table.name]) for table, keys, _ in touched]
            for domain_event, touched in self._changes.items()
        }
        for one in recorded:
            position, _, domain_event = one
            if type(domain_event) not in steps:
                raise failed(one, "no table folds it")
            try:
                for keys, fold, rows, changed_rows in steps[type(domain_event)]:
                    for key in keys(domain_event, position):
                        rows[key] = changed_rows[key] = fold(rows.get(key), key, position, domain_event)
            except Exception as error:
                raise failed(one, repr(error)) from error
        return changed

    def forget(self, but: dict[str, Rows] | None = None) -> None:
        """Know nothing any more but the rows given."""
        self.rows = {table.name: dict(but[table.name]) if but else {} for table in self.tables}


def failed(recorded: Recorded, reason: str) -> FoldFailed:
    """Names the domain event that can't be folded."""
    it = recorded.domain_event
    return FoldFailed(recorded.position, it.originator_id, it.originator_version, it.TOPIC, reason)
