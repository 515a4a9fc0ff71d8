"""Projection tables against a fresh fold of the history, row by row and column by column."""

from collections.abc import Iterable, Set
from typing import Any

from auditing.findings import Findings, Rule
from projections.projector.folding import Rows
from projections.tables.table import Row, Table


class TableCheck:
    """Holds the rows of one table against what the history demands; both come in parts of any size.

    Memory grows with what is demanded and has not come.
    """

    def __init__(self, findings: Findings, table: Table) -> None:
        self._findings = findings
        self.table = table
        self.name = table.name
        self._key_of = table.key_of
        self._demanded: Rows = {}

    def demand(self, rows: Rows) -> None:
        """Rows that have to be there."""
        self._demanded |= rows

    def compare(self, rows: Iterable[Row], unfoldable: Set[Any] = frozenset()) -> None:
        """Rows that are there. Those of `unfoldable` streams can't be judged."""
        demanded, key_of = self._demanded, self._key_of
        for row in rows:
            wanted = demanded.pop(key_of(row), None)
            if wanted != row and not self._is_of(row, unfoldable):
                self._differs(row, wanted)

    def settle(self, unfoldable: Set[Any] = frozenset()) -> None:
        """All that was demanded should have come by now."""
        for row in self._demanded.values():
            if not self._is_of(row, unfoldable):
                self._tell(row, "The row is missing.")
        self._demanded = {}

    def _is_of(self, row: Row, streams: Set[Any]) -> bool:
        """Whether one of the streams made the row, as far as a table tells."""
        return self.table.stream is not None and getattr(row, self.table.stream) in streams

    def _differs(self, row: Any, wanted: Row | None) -> None:
        if wanted is None:
            self._tell(row, "No domain event makes this row.")
            return
        columns = [name for name in row.__struct_fields__ if getattr(row, name) != getattr(wanted, name)]
        told = "; ".join(f"{name} is {getattr(row, name)}, not {getattr(wanted, name)}" for name in columns)
        newer = max(row, wanted, key=lambda one: one.position or 0)
        self._tell(newer, f"By the history this row is different: {told}.")

    def _tell(self, row: Any, sentence: str) -> None:
        named = " ".join(f"{column} {getattr(row, column)}" for column in self.table.key_columns)
        place = f"table {self.table.name}, {named}"
        self._findings.add(row.position, Rule.PROJECTION_DIFFERS, place, sentence)
