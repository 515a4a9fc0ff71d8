"""Reading your own writes: an answer waits until the projections have reached what the reader may have written."""

from api.refusals import ProjectionBehind
from projections.follower import Follower

USUAL_PATIENCE_SECONDS = 0.25
ASKED_PATIENCE_SECONDS = 2.0


async def catch_up_with_history(follower: Follower, head: int) -> None:
    """Wait at most 250 ms for the projections to reach `head`, then go on with what there is."""
    await follower.wait_for(head, USUAL_PATIENCE_SECONDS)


async def reach(follower: Follower, min_position: int) -> None:
    """Wait at most 2 s for the projections to reach `min_position`; raises `ProjectionBehind`."""
    if min_position and not await follower.wait_for(min_position, ASKED_PATIENCE_SECONDS):
        raise ProjectionBehind(min_position, follower.position)
