"""A queue of commands in front of one writer."""

import asyncio
from collections import deque
from uuid import UUID

from eventstore.writing.group_writer import Writer
from eventstore.writing.waiting_command import Waiting


class Lane:
    """A queue of commands and the writer that they go to; `one_event` says that a group has only one event's."""

    def __init__(self, writer: Writer, *, one_event: bool) -> None:
        self.writer = writer
        self.one_event = one_event
        self.queue: deque[Waiting] = deque()
        self.filled = asyncio.Event()
        self.under_way: list[Waiting] = []
        self.began_at: float | None = None
        self.is_looked_into = False

    def add(self, entry: Waiting) -> None:
        """One more in the queue."""
        self.queue.append(entry)
        self.filled.set()

    def has_only(self, event_id: UUID) -> bool:
        """Whether commands wait here, all of this event."""
        return bool(self.queue) and all(entry.command.event_id == event_id for entry in self.queue)
