"""Keeps the garbage collector from looking through millions of short-lived domain events, none of them ever cyclic."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New containers between two collections: many parts of a history. At the default, collecting takes half of the time.
COLLECT_AFTER = 500_000


@contextmanager
def sparing_collector() -> Iterator[None]:
    """Collect rarely, and leave alone what is there already, until the block ends."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
