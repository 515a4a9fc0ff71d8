"""Random histories in the database, sealed in ranges of any size, and exports of them."""

import io
from uuid import UUID

from auditing.export.parquet_writer import Parquet
from auditing.export.write_export import CloudEvents, Ndjson, export
from eventstore.postgres.connections import Connection
from eventstore.seals import seals
from tests.projections.histories import BoxOffice, append

COMMANDS = 120


async def sealed_history(connection: Connection, seed: int = 1, commands: int = COMMANDS) -> BoxOffice:
    """A random history in sealed ranges of one to thirty commands; what comes last is not sealed."""
    box_office = BoxOffice(seed)
    recorded = box_office.commands(commands)
    while recorded:
        some = box_office.random.randint(1, 30)
        await append(connection, recorded[:some])
        recorded = recorded[some:]
        if recorded:
            assert await seals.seal_next(connection)
    return box_office


async def as_ndjson(database_url: str, event_id: UUID | None = None) -> bytes:
    """What an export writes."""
    file = io.BytesIO()
    await export(database_url, event_id, Ndjson(file))
    return file.getvalue()


async def as_cloud_events(database_url: str, event_id: UUID | None = None) -> bytes:
    """The same for other systems."""
    file = io.BytesIO()
    await export(database_url, event_id, CloudEvents(file))
    return file.getvalue()


async def as_parquet(database_url: str, event_id: UUID | None = None) -> bytes:
    """The same as Parquet."""
    file = io.BytesIO()
    with Parquet(file) as parquet:
        await export(database_url, event_id, parquet)
    return file.getvalue()
