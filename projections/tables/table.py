"""What makes a projection: the rows of a table, which of them a domain event touches, and how each is folded."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import msgspec

from domain.domain_event import DomainEvent

Key = Any
Row = msgspec.Struct


@dataclass(frozen=True, eq=False)
class Table:
    """One projection table. `fold` and `changed_keys` are pure: all who fold share them.

    `changed_keys` gives the keys of the rows that a domain event changes, from it and its position; a domain event of a
    type in `births` makes its rows whatever was there before, so that they need not be read.
    `fold(row, key, position, domain_event)` gives the row afterwards and never refuses. `read` selects the row's
    fields in their order by `%(keys)s`; `write` upserts the JSON array of rows in the parameter that is named as the
    table is.

    `key` names the column of the primary key. Of a key of several columns it is a tuple of their names, keys are tuples
    of their values, and `read` takes one array for each column, under its name.

    `stream` names the column with the stream that alone makes a row, where that is so: verification then judges the
    table stream by stream, however large it is. It keeps all rows of other tables in memory.
    """

    name: str
    key: str | tuple[str, ...]
    row: type[Row]
    changed_keys: Mapping[type[DomainEvent], Callable[[Any, int], Iterable[Key]]]
    births: frozenset[type[DomainEvent]]
    fold: Callable[[Any, Key, int, Any], Row]
    read: str = field(repr=False)
    write: str = field(repr=False)
    stream: str | None = None

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of the primary key, in order."""
        return (self.key,) if isinstance(self.key, str) else self.key

    @property
    def key_of(self) -> Callable[[Row], Key]:
        """Gives the key of a row."""
        return attrgetter(*self.key_columns)

    def asked(self, keys: Sequence[Key]) -> dict[str, Any]:
        """The parameters by which `read` selects the rows of these keys."""
        if isinstance(self.key, str):
            return {"keys": keys}
        return {column: [key[place] for key in keys] for place, column in enumerate(self.key)}


class RowMissing(LookupError):
    """A domain event belongs to a row that is not there: the one before it was never folded."""


def one_per_stream(domain_event: DomainEvent, _position: int) -> tuple[Key]:
    """The key of a table that has one row per stream."""
    return (domain_event.originator_id,)
