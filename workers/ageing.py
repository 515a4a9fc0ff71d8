"""Forgets refused attempts that are older than an operator wants to keep them."""

from eventstore import refused
from eventstore.connections import Connection
from eventstore.locks import AGEING_KEY
from workers.alone import Alone

IDLE_SECONDS = 30


class Ageing(Alone):
    """The history and everything folded from it stay as they are."""

    def __init__(self, database_url: str, refusals_kept_days: int) -> None:
        super().__init__(database_url, AGEING_KEY, IDLE_SECONDS)
        self._refusals_kept_days = refusals_kept_days

    async def work(self, connection: Connection) -> None:
        while await refused.forget(connection, self._refusals_kept_days):
            pass
