"""Seals the history every few seconds, so that what is sealed can't be altered without being found out."""

from eventstore.postgres.connections import Connection
from eventstore.seals import seals
from workers.jobs import Job


class Sealing(Job):
    """One range after the other until all that was there is sealed; what comes meanwhile waits for the next call."""

    name = "sealing"
    interval_seconds = 5

    async def work(self, connection: Connection) -> None:
        while (seal := await seals.seal_next(connection)) and seal.positions >= seals.RANGE_POSITIONS:
            pass
