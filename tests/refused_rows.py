"""Refused attempts for tests that need no group: read from what a group would keep, or put into the table."""

from collections.abc import Iterable
from datetime import datetime

from eventstore.postgres.connections import Connection
from eventstore.writing.refused_attempts import Refusals, RefusedAttempt

INSERT = """
INSERT INTO refused_together (
    first_request_id, request_ids, account_ids, refused_at, command, event_id, reservation_id, ticket_type_id,
    quantity, code, facts, capacity, reserved, paid, position, last_kept, withheld)
VALUES (%(request_id)s, ARRAY[%(request_id)s], ARRAY[%(account_id)s], %(refused_at)s, %(command)s, %(event_id)s,
        %(reservation_id)s, %(ticket_type_id)s, %(quantity)s, %(code)s, %(facts)s, %(capacity)s, %(reserved)s, %(paid)s,
        %(position)s, %(last_kept)s, %(withheld)s)
"""


def kept_by(refusals: Refusals, refused_at: datetime) -> list[RefusedAttempt]:
    """What a group that has appended nothing would keep."""
    return [
        RefusedAttempt(
            request_id=request_id,
            refused_at=refused_at,
            account_id=account_id,
            position=together.rows_before,
            **(alike._asdict() | {"facts": alike.facts.decode()}),
        )
        for alike, together in refusals.together.items()
        for request_id, account_id in zip(together.request_ids, together.account_ids, strict=True)
    ]


async def insert(connection: Connection, attempts: Iterable[RefusedAttempt]) -> None:
    """Each in a row of its own."""
    for attempt in attempts:
        await connection.execute(INSERT, attempt._asdict())
