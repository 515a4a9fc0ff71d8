"""Since when fewer tickets of a type have been left than somebody wanted, from one pass over its counts."""

from bisect import bisect_left, bisect_right
from datetime import datetime
from typing import NamedTuple


class Since(NamedTuple):
    """A position of the history, and when it was recorded."""

    position: int
    at: datetime


class Shortage:
    """Remembers, of each number of tickets, when it was last left: a stack of falling numbers.

    Numbers above `most` count as `most`, so memory is bounded by it; each change costs constant time on average.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # The number left, negative so that the list rises, and where it began to be less. At first there is no end.
        self._left: list[int] = [-most]
        self._ended: list[Since | None] = [None]

    def change(self, available: int, since: Since) -> None:
        """So many are left from here on."""
        left = -min(available, self._most)
        self._ended[-1] = self._ended[-1] or since
        keep = bisect_left(self._left, left)
        del self._left[keep:], self._ended[keep:]
        self._left.append(left)
        self._ended.append(None)

    def since(self, quantity: int) -> Since | None:
        """Where fewer than `quantity` began to be left, and have been since; None when so many are left now."""
        return self._ended[bisect_right(self._left, -min(quantity, self._most)) - 1]
