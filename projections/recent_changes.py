"""Which events look different since when: the projector writes it with the checkpoint, to judge kept answers by it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from projections.checkpoint import Checkpoint

# What is written with each batch, and read by each process after it.
NAMED_MAX = 100
REMEMBERED_MAX = 10_000


class RecentChanges:
    """What the projector writes: every event that its batches changed after a position, as long as they are few."""

    def __init__(self, after: int) -> None:
        self._after = after
        self._events: dict[UUID, int] = {}

    def with_batch(self, events: Mapping[UUID, int], position_before: int, position: int) -> dict[str, Any] | None:
        """The value of `checkpoint.recent_changes` after a batch that changed these events, each last at a position.

        None when the batch changed too many to name; then what comes next is told from `position` on.
        """
        self._events.update(events)
        if len(self._events) > NAMED_MAX:
            self._after, self._events = position_before, dict(events)
        if len(events) > NAMED_MAX:
            self._after, self._events = position, {}
            return None
        return {"after": self._after, "events": {str(event_id): at for event_id, at in self._events.items()}}


class ChangedEvents:
    """What a reader knows of them: nothing until it has seen a checkpoint, and then all that changed after that one.

    What was read in another `epoch` can't be compared: after a fail-over the same position may say something else.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.forget()

    def forget(self) -> None:
        """From here on anything may have changed, and positions may be those of another history."""
        self.epoch += 1
        self._generation: int | None = None
        self._position = self._known_after = self._last_change = 0
        self._events: dict[UUID, int] = {}

    def learn(self, now: Checkpoint) -> None:
        """Take note of a checkpoint; what changed since the one before it is named there, or else all may have."""
        changes = now.recent_changes
        goes_on = now.generation == self._generation and now.position >= self._position
        is_known = now.position == self._position or bool(changes and changes["after"] <= self._position)
        if goes_on and is_known and len(self._events) < REMEMBERED_MAX:
            if changes and now.position > self._position:
                named = {UUID(event_id): at for event_id, at in changes["events"].items()}
                self._events.update((event_id, at) for event_id, at in named.items() if at > self._position)
                self._last_change = max(self._last_change, *named.values(), 0)
        else:
            self.epoch += not goes_on
            self._known_after = self._last_change = now.position
            self._events.clear()
        self._generation, self._position = now.generation, now.position

    def since(self, position: int, event_id: UUID | None = None) -> bool:
        """Whether the event, or any without one, may look different from how it looked at a position of this epoch."""
        if self._generation is None or position < self._known_after:
            return True
        return self._last_change > position and (event_id is None or self._events.get(event_id, 0) > position)
