"""Projection tables against a fresh fold of the history, row by row and column by column."""

from collections.abc import Iterable, Set
from operator import attrgetter
from typing import Any

from auditing.findings import Findings, Rule
from projections.folding import Rows
from projections.table import Row, Table


class TableCheck:
    """Holds the rows of one table against what the history demands; both come in parts of any size.

    `stream` is the column that names the stream which makes a row. Memory grows with what is demanded and has not come.
    """

    def __init__(self, findings: Findings, table: Table, stream: str) -> None:
        self._findings = findings
        self.table = table
        self.name = table.name
        self._stream = stream
        self._key_of = attrgetter(table.key)
        self._demanded: Rows = {}

    def demand(self, rows: Rows) -> None:
        """Rows that have to be there."""
        self._demanded |= rows

    def compare(self, rows: Iterable[Row], unfoldable: Set[Any] = frozenset()) -> None:
        """Rows that are there. Those of `unfoldable` streams can't be judged."""
        demanded, key_of = self._demanded, self._key_of
        for row in rows:
            wanted = demanded.pop(key_of(row), None)
            if wanted != row and getattr(row, self._stream) not in unfoldable:
                self._differs(row, wanted)

    def settle(self, unfoldable: Set[Any] = frozenset()) -> None:
        """All that was demanded should have come by now."""
        for key, row in self._demanded.items():
            if getattr(row, self._stream) not in unfoldable:
                self._tell(row, key, "The row is missing.")
        self._demanded = {}

    def _differs(self, row: Any, wanted: Row | None) -> None:
        key = self._key_of(row)
        if wanted is None:
            self._tell(row, key, "No domain event makes this row.")
            return
        columns = [name for name in row.__struct_fields__ if getattr(row, name) != getattr(wanted, name)]
        told = "; ".join(f"{name} is {getattr(row, name)}, not {getattr(wanted, name)}" for name in columns)
        self._tell(
            max(row, wanted, key=lambda one: one.position or 0), key, f"By the history this row is different: {told}."
        )

    def _tell(self, row: Any, key: Any, sentence: str) -> None:
        place = f"table {self.table.name}, {self.table.key} {key}"
        self._findings.add(row.position, Rule.PROJECTION_DIFFERS, place, sentence)
