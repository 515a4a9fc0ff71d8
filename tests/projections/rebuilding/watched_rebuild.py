"""What the tests of rebuild share: an owner's connection, and a rebuild that is watched."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from eventstore.postgres.connections import WORKER_ROLE, Connection, connect, connect_as_owner
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from projections.rebuilding.differences import Differences
from projections.rebuilding.rebuild import Progress, Rebuilt, Step, rebuild

PATIENCE_SECONDS = 30.0


@asynccontextmanager
async def owner(database_url: str) -> AsyncIterator[Connection]:
    """Who may change tables, in the schema of the live ones."""
    async with await connect_as_owner(database_url, search_path="projections, tixxety") as connection:
        yield connection


async def fold_all(database_url: str, limit: int = 4_096) -> None:
    """Fold the live tables up to the head."""
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        batches = Batches(connection, await checkpoint.read(connection))
        while await batches.fold_next(limit):
            pass


class Stopped(Exception):
    """The rebuild's process ends here."""


async def stopped_before(step: Step, database_url: str) -> None:
    """A rebuild whose process ends when this step begins."""

    def stop(progress: Progress) -> None:
        if progress.step == step:
            raise Stopped

    with pytest.raises(Stopped):
        await Watched(stop).rebuild(database_url)


class Watched:
    """What a rebuild has told; `at_each` is called with every progress."""

    def __init__(self, at_each: Callable[[Progress], None] = lambda _: None) -> None:
        self.told: list[Progress | Differences] = []
        self._at_each = at_each

    def hear(self, progress: Progress) -> None:
        self.told.append(progress)
        self._at_each(progress)

    async def rebuild(self, database_url: str, patience_seconds: float = PATIENCE_SECONDS) -> Rebuilt:
        return await rebuild(database_url, self.hear, self.told.append, patience_seconds)

    @property
    def steps(self) -> list[str]:
        """The steps in order, each once; `differences` is among them."""
        names = ["differences" if isinstance(told, Differences) else told.step for told in self.told]
        return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
