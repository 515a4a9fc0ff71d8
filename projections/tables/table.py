"""What makes a projection: the rows of a table, which of them a domain event touches, and how each is folded."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec

from domain.domain_event import DomainEvent

Key = Any
Row = msgspec.Struct

KEY_TYPES = {UUID: "uuid", datetime: "timestamptz", int: "bigint", str: "text"}


def columns(row: type[Row]) -> str:
    """The columns of a row in their order, as a query names them; ids that the row has as text are read as text."""
    fields = msgspec.structs.fields(row)
    return ", ".join(f"{field.name}::text" if field.type in (str, str | None) else field.name for field in fields)


@dataclass(frozen=True, eq=False)
class Table:
    """One projection table. `fold` and `changed_keys` are pure: all who fold share them.

    `changed_keys` gives the keys of the rows that a domain event changes, from it and its position; a domain event of a
    type in `births` makes its rows whatever was there before, so that they need not be read.
    `fold(row, key, position, domain_event)` gives the row afterwards and never refuses. The fields of `row` are the
    table's columns, but for those that the database computes.

    `key` names the column of the primary key. Of a key of several columns it is a tuple of their names, and keys are
    tuples of their values.

    `stream` names the attribute of a row with the stream that alone makes it, where that is so; it is a column, unless
    each row stands under its domain event's position. Verification then judges the table stream by stream or position
    by position, however large it is. It keeps all rows of other tables in memory.

    `insert_only` is for rows that are written once: one that is there already is a fault, and stops the projector.
    """

    name: str
    key: str | tuple[str, ...]
    row: type[Row]
    changed_keys: Mapping[type[DomainEvent], Callable[[Any, int], Iterable[Key]]]
    births: frozenset[type[DomainEvent]]
    fold: Callable[[Any, Key, int, Any], Row]
    stream: str | None = None
    insert_only: bool = False

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of the primary key, in order."""
        return (self.key,) if isinstance(self.key, str) else self.key

    @property
    def key_of(self) -> Callable[[Row], Key]:
        """Gives the key of a row."""
        return attrgetter(*self.key_columns)

    @cached_property
    def read(self) -> str:
        """The query for the rows of some keys, whose parameters `asked` makes."""
        types = {field.name: field.type for field in msgspec.structs.fields(self.row)}
        keys = ", ".join(f"%({column})s::{KEY_TYPES[types[column]]}[]" for column in self.key_columns)
        if isinstance(self.key, str):
            return f"SELECT {columns(self.row)} FROM {self.name} WHERE {self.key} = ANY({keys})"  # noqa: S608
        same_key = " AND ".join(f"each.{column} = asked.{column}" for column in self.key)
        # The limit keeps each key a look-up of its own: a join may be planned as a scan while the table is small.
        return f"""
SELECT found.* FROM unnest({keys}) AS asked ({", ".join(self.key)})
CROSS JOIN LATERAL (SELECT {columns(self.row)} FROM {self.name} AS each WHERE {same_key} LIMIT 1) AS found
"""  # noqa: S608

    @cached_property
    def write(self) -> str:
        """The upsert of rows, given as a JSON array in the parameter that is named as the table is.

        A part of the statement that moves the checkpoint: nothing is written where `advanced` has no row.
        """
        written = ", ".join(self.row.__struct_fields__)
        insert = f"""
INSERT INTO {self.name} ({written})
SELECT {written} FROM json_populate_recordset(NULL::{self.name}, %({self.name})s::json)
WHERE EXISTS (SELECT FROM advanced)
"""  # noqa: S608
        if self.insert_only:
            return insert
        changed = [column for column in self.row.__struct_fields__ if column not in self.key_columns]
        values = ", ".join(f"{column} = excluded.{column}" for column in changed)
        return f"{insert}ON CONFLICT ({', '.join(self.key_columns)}) DO UPDATE SET {values}"

    def asked(self, keys: Sequence[Key]) -> dict[str, Any]:
        """The parameters by which `read` selects the rows of these keys: an array for each column of the key."""
        if isinstance(self.key, str):
            return {self.key: keys}
        return {column: [key[place] for key in keys] for place, column in enumerate(self.key)}


class RowMissing(LookupError):
    """A domain event belongs to a row that is not there: the one before it was never folded."""


def one_per_stream(domain_event: DomainEvent, _position: int) -> tuple[Key]:
    """The key of a table that has one row per stream."""
    return (domain_event.originator_id,)
