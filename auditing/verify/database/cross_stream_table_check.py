"""Projection tables whose rows several streams make, such as one row per buyer: folded in the history's order."""

from collections.abc import Sequence

from auditing.findings import Findings, Rule
from auditing.verify.database import one_moment
from auditing.verify.database.table_check import TableCheck
from eventstore.postgres.connections import Connection
from eventstore.reading import Recorded
from projections.projector.folding import Rows, changed_keys
from projections.tables.table import Table


class AcrossStreams:
    """Takes the whole history in order, in parts of any size. Memory grows with the rows of these tables."""

    def __init__(self, findings: Findings, tables: Sequence[Table], folded_through: int) -> None:
        self._findings = findings
        self._tables = {table.name: table for table in tables}
        self._changes = changed_keys(tables)
        self._rows: dict[str, Rows] = {table.name: {} for table in tables}
        self._folded_through = folded_through

    def feed(self, recorded: Sequence[Recorded]) -> None:
        """Fold the next domain events."""
        for position, _, it in recorded:
            if position > self._folded_through:
                return
            for table, keys, _ in self._changes.get(type(it), ()):
                rows = self._rows[table.name]
                try:
                    for key in keys(it, position):
                        rows[key] = table.fold(rows.get(key), key, position, it)
                except Exception as error:
                    self._give_up(table, position, error)

    def give_up(self) -> None:
        """A domain event is unreadable: what the tables have to show is not known."""
        self._tables.clear()

    async def compare(self, connection: Connection) -> None:
        """Hold all that was folded against the rows that are there."""
        for table in self._tables.values():
            check = TableCheck(self._findings, table)
            check.demand(self._rows[table.name])
            async for part in one_moment.of_table(connection, table).rest():
                check.compare(part)
            check.settle()

    def _give_up(self, table: Table, position: int, error: Exception) -> None:
        if self._tables.pop(table.name, None):
            sentence = f"The table {table.name} can't fold it, and was not compared: {error!r}."
            self._findings.add(position, Rule.UNREADABLE, f"table {table.name}", sentence)
