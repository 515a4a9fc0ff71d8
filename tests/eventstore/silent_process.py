"""A process that takes locks and then says nothing more, between two messages or in the middle of a trip."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from uuid import UUID

from psycopg import pq

from eventstore.box_office import POSITION_KEY, BoxOffice
from eventstore.postgres.connections import connect

Where = Literal["between two trips", "in the middle of a trip"]


@asynccontextmanager
async def silent_holder(database_url: str, where: Where, *, event_id: UUID | None = None) -> AsyncIterator[int]:
    """Holds the lock of an event, or that of the positions, for the block, if nobody ends it; gives its process id.

    The server's timer for idle transactions is off: what is tested must not need it.
    """
    lock = "SELECT pg_advisory_xact_lock({lock_class}, {lock_key})".format(**BoxOffice().lock(POSITION_KEY))
    if event_id is not None:
        lock = f"SELECT pg_advisory_xact_lock({BoxOffice().stream_key(event_id)})"
    connection = await connect(database_url, idle_in_transaction_session_timeout="0")
    try:
        if where == "between two trips":
            await connection.execute("BEGIN")
            await connection.execute(lock)
        else:
            pgconn = connection.pgconn
            pgconn.enter_pipeline_mode()
            for statement in ("BEGIN", lock):
                pgconn.send_query_params(statement.encode(), [], result_format=pq.Format.BINARY)
            # What follows, and the Sync, never comes.
            pgconn.send_flush_request()
            pgconn.flush()
        yield connection.info.backend_pid
    finally:
        connection.pgconn.finish()
