"""Whether a connection is a session of its own: our locks, settings and notifications belong to sessions."""

from contextlib import AsyncExitStack

from eventstore.box_office import BoxOffice
from eventstore.errors import Failure
from eventstore.postgres.connections import Connection, connect

LOOKS = 8
BACKEND = "SELECT pg_backend_pid()"


class SharedSessions(Failure):
    """The database is reached through a pooler that shares sessions, such as PgBouncer's mode "transaction": connect to
    PostgreSQL itself, or let the pooler give each connection a session of its own."""

    code = "database-away"


async def expect_own_sessions(box_office: BoxOffice | str) -> None:
    """Raises `SharedSessions` where two connections come upon the same session, or one upon two.

    A pooler gives a session to whoever asks next. The transaction in between has it hold more than one.
    """
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(await connect(box_office)) for _ in range(2)]
        sessions = await _session(one), await _session(other)
        for _ in range(LOOKS):
            async with one.transaction():
                looked = await _session(one), await _session(other)
            if sessions[0] == sessions[1] or looked != sessions or await _session(other) != sessions[1]:
                raise SharedSessions


async def _session(connection: Connection) -> int:
    row = await (await connection.execute(BACKEND)).fetchone()
    assert row is not None  # noqa: S101
    return int(row[0])
