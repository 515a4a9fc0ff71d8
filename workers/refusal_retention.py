"""Forgets refused attempts that are older than an operator wants to keep them."""

from eventstore.postgres.connections import Connection
from eventstore.writing import refused_attempts
from workers.jobs import Job


class Ageing(Job):
    """The history and everything folded from it stay as they are."""

    name = "ageing"
    interval_seconds = 600

    def __init__(self, refusals_kept_days: int) -> None:
        self._refusals_kept_days = refusals_kept_days

    async def work(self, connection: Connection) -> None:
        while await refused_attempts.forget(connection, self._refusals_kept_days):
            pass
