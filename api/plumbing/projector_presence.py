"""What readiness remembers between two looks: when a projector was last seen folding."""

import time

GRACE_SECONDS = 5.0


class ProjectorPresence:
    """A standby takes over within seconds: a projector seen less than `GRACE_SECONDS` ago counts as there."""

    def __init__(self) -> None:
        self._seen_at_seconds: float | None = None

    def note(self, is_there: bool) -> bool:
        """Remember a look at the lock; whether a projector is there, or was just now."""
        now = time.monotonic()
        if is_there:
            self._seen_at_seconds = now
        return self._seen_at_seconds is not None and now - self._seen_at_seconds < GRACE_SECONDS
