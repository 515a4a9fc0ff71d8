"""Seals the history every few seconds, so that what is sealed can't be altered without being found out."""

from eventstore import seals
from eventstore.connections import Connection
from eventstore.locks import SEALING_KEY
from workers.alone import Alone

IDLE_SECONDS = 30


class Sealing(Alone):
    """One range after the other until all that was there is sealed; what comes meanwhile waits for the next call."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url, SEALING_KEY, IDLE_SECONDS)

    async def work(self, connection: Connection) -> None:
        while (seal := await seals.seal_next(connection)) and seal.positions >= seals.RANGE_POSITIONS:
            pass
