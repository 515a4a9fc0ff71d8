"""Reading your own writes: an answer waits until the projections have reached what the reader may have written."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from api.http.errors import ProjectionBehind
from auditing.replay.errors import BeyondTheEnd
from eventstore import reading
from eventstore.postgres.connections import Connection
from projections.projector.checkpoint_watcher import CheckpointWatcher

USUAL_PATIENCE_SECONDS = 0.25
ASKED_PATIENCE_SECONDS = 2.0

Lent = Callable[[], AbstractAsyncContextManager[Connection]]


async def catch_up_with_history(follower: CheckpointWatcher, head: int) -> None:
    """Wait at most 250 ms for the projections to reach `head`, then go on with what there is."""
    await follower.wait_for(head, USUAL_PATIENCE_SECONDS)


async def reach(follower: CheckpointWatcher, min_position: int, lent: Lent) -> None:
    """Wait at most 2 s for the projections to reach `min_position`; raises `ProjectionBehind`.

    What the history has not reached is not waited for: raises `BeyondTheEnd`.
    """
    if follower.position >= min_position:
        return
    async with lent() as connection:
        head = await reading.final_head(connection)
    if head is not None and head < min_position:
        raise BeyondTheEnd(head)
    if not await follower.wait_for(min_position, ASKED_PATIENCE_SECONDS):
        raise ProjectionBehind(min_position, follower.position)
