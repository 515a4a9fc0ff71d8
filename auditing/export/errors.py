"""Why a history can't be exported, or a file is no export of one."""

from uuid import UUID

from eventstore.errors import Failure


class Unexportable(Failure):
    """What is stored at a position is no domain event."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"What is stored at position {position:,} is no domain event and can't be exported: see tixxety verify."
        )


class EventUnknown(Failure):
    """There is no such event."""

    def __init__(self, event_id: UUID) -> None:
        super().__init__(f"There is no event {event_id} in the history.")


class FileBroken(Failure):
    """The file is no whole export."""
