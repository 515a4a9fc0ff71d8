"""Whoever reads in one transaction sees one moment: all tables at one position, while folding goes on."""

import asyncio
from typing import Any

from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from projections.projector.projector import Projector
from tests.projections.histories import BoxOffice, append
from tests.projections.waiting import running

COMMANDS, APPENDED_AT_ONCE = 1_500, 10
FEWEST_MOMENTS = 3

# Of a reservation the trail has one row for two domain events.
POSITIONS = """
SELECT (SELECT position FROM checkpoint), (SELECT position FROM freshness),
       (SELECT max(position) FROM audit_trail), (SELECT count(*) + count(reservation_id) FROM audit_trail)
"""
# Of each ticket type: tickets held, tickets paid, reservations placed; as each table has it.
IN_TICKET_TYPES = "SELECT ticket_type_id, reserved, paid FROM ticket_types WHERE reserved + paid > 0"
IN_RESERVATIONS = """
SELECT ticket_type_id, sum(quantity) FILTER (WHERE status = 'reserved'), sum(quantity) FILTER (WHERE status = 'paid')
FROM reservations WHERE status IN ('reserved', 'paid') GROUP BY ticket_type_id
"""
IN_SALES = """
SELECT ticket_type_id, sum(tickets_placed - tickets_paid - tickets_expired - tickets_cancelled + tickets_returned),
       sum(tickets_paid - tickets_returned)
FROM sales_by_minute GROUP BY ticket_type_id HAVING sum(tickets_placed - tickets_expired - tickets_cancelled) > 0
"""
IN_HISTORY = """
SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM audit_trail WHERE type = 'EventCreated'),
       (SELECT count(*) FROM reservations), (SELECT count(*) FROM audit_trail WHERE type = 'ReservationPlaced'),
       (SELECT sum(placed) FROM sales_by_minute)
"""


async def test_all_tables_agree_at_one_position_while_a_projector_folds(database_url: str) -> None:
    commands = BoxOffice(11).commands(COMMANDS)
    async with await connect(database_url, role=WORKER_ROLE) as writer, running(Projector(database_url)):
        reading = asyncio.create_task(read_until(database_url, sum(map(len, commands))))
        for start in range(0, COMMANDS, APPENDED_AT_ONCE):
            await append(writer, commands[start : start + APPENDED_AT_ONCE])
            await asyncio.sleep(0)
        assert len(await reading) >= FEWEST_MOMENTS


async def read_until(database_url: str, head: int) -> set[int]:
    """Read moment after moment until the tables show the whole history; the positions that were seen."""
    seen: set[int] = set()
    async with await connect(database_url, default_transaction_isolation="repeatable read") as connection:
        while head not in seen:
            seen.add(await read_moment(connection))
    return seen


async def read_moment(connection: Connection) -> int:
    """Ask several tables, one after the other, in one transaction; they have to agree."""
    async with connection.transaction():
        [(position, *others)] = await ask(connection, POSITIONS)
        held_and_paid = {row[0]: (row[1], row[2]) for row in await ask(connection, IN_TICKET_TYPES)}
        for query in (IN_RESERVATIONS, IN_SALES):
            await asyncio.sleep(0)
            assert {row[0]: (row[1] or 0, row[2] or 0) for row in await ask(connection, query)} == held_and_paid
        [(events, created, reservations, placed, sold)] = await ask(connection, IN_HISTORY)
        assert events == created
        assert reservations == placed == (sold or 0)
        assert others == [position, position or None, position]
        assert (await ask(connection, POSITIONS))[0][0] == position
    return int(position)


async def ask(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query.encode())).fetchall()
