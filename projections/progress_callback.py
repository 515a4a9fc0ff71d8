"""How whoever waits for a long piece of work hears how far it is."""

from collections.abc import Callable

# Called with how much is done and of how much, again and again, in a unit that whoever calls it names.
ProgressCallback = Callable[[int, int], None]


def no_progress(_done: int, _total: int) -> None:
    """For callers who don't want to know how far it is."""
