"""Takes snapshots of events whose streams grew long, off the hot path."""

from eventstore import history, snapshots
from eventstore.aggregates import load
from eventstore.connections import Connection
from eventstore.locks import SNAPSHOTS_KEY
from workers.alone import Alone

IDLE_SECONDS = 30


class Snapshots(Alone):
    """Looks through what was appended since its last call; on a new process, since the newest snapshot."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url, SNAPSHOTS_KEY, IDLE_SECONDS)
        self._looked_through: int | None = None

    async def work(self, connection: Connection) -> None:
        after = self._looked_through
        if after is None:
            after = await snapshots.looked_through(connection)
        head = await history.head(connection)
        while after < head:
            upto = min(after + snapshots.SCAN_POSITIONS, head)
            for stream_id in await snapshots.grown_streams(connection, after, upto):
                if (event := await load(connection, stream_id)) is not None:
                    await snapshots.keep(connection, event, upto)
            after = self._looked_through = upto
