"""How far each consumer is behind: the projector, the sealing, and those of the table, against the head."""

import psycopg

from eventstore.postgres.connections import WORKER_ROLE, connect
from eventstore.seals import seals
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from projections.queries.consumers_queries import Lag, lags
from tests.projections.histories import BoxOffice, append


async def test_the_lag_of_each_is_what_the_history_has_behind_its_checkpoint(database_url: str) -> None:
    office = BoxOffice(1)
    async with await connect(database_url) as looking, await connect(database_url, role=WORKER_ROLE) as connection:
        assert await lags(looking) == [Lag("projector", 0, 0), Lag("sealing", 0, 0)]
        sealed = await append(connection, office.commands(20))
        await seals.seal_next(connection)
        head = await append(connection, office.commands(20))
        batches = Batches(connection, await checkpoint.read(connection))
        await batches.fold_next(10)
        with psycopg.connect(database_url, autocommit=True) as owner:
            owner.execute(
                "INSERT INTO tixxety.consumers (name, position) VALUES ('webhooks', 1), ('mail', %s)", (head,)
            )
        assert await lags(looking) == [
            Lag("mail", head, 0),
            Lag("projector", batches.position, head - batches.position),
            Lag("sealing", sealed, head - sealed),
            Lag("webhooks", 1, head - 1),
        ]
