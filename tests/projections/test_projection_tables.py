"""The tables explain themselves, agree with the code that fills them, and refuse what can't be."""

from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql

from domain.commands import PayReservation
from domain.domain_event import DomainEvent
from eventstore.postgres.connections import APP_ROLE, WORKER_ROLE, connect
from projections import checkpoint
from projections.checkpoint import DEFINITIONS_VERSION
from projections.projector.batch_transaction import Batches
from projections.projector.folding import changed_keys
from projections.schema.make_schema import files
from projections.tables.all_tables import TABLES
from projections.tables.table import Table
from tests.projections.histories import BoxOffice, append

UNEXPLAINED = """
SELECT c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'v', 'm')
  AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)
"""
COLUMNS = """
SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attgenerated = '' ORDER BY a.attnum
"""
TABLE_NAMES = """
SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND relkind = 'r' ORDER BY relname
"""
SCHEMA = {"schema": "projections"}
PAID_A_LOT = """
UPDATE sales_by_minute SET minute = %s, paid = 1, tickets_paid = 1, currency = 'EUR', revenue_minor = %s
"""
IMPOSSIBLE = {
    "a type oversold": "UPDATE ticket_types SET reserved = capacity + 1",
    "a count below nothing": "UPDATE ticket_types SET paid = -1",
    "an event that ends before it starts": "UPDATE events SET ends_at = starts_at",
    "an unknown status of an event": "UPDATE events SET status = 'postponed'",
    "a cancelled event without its instant": "UPDATE events SET status = 'cancelled', cancelled_at = NULL",
    "an unknown status of a reservation": "UPDATE reservations SET status = 'lost'",
    "paid at the deadline": "UPDATE reservations SET status = 'paid', paid_at = hold_expires_at",
    "expired too early": "UPDATE reservations SET status = 'expired', expired_at = placed_at",
    "two ends": "UPDATE reservations SET expired_at = hold_expires_at, cancelled_at = hold_expires_at",
    "a refund of nothing paid": "UPDATE reservations SET refund_due_minor = 1",
    "a second checkpoint": "INSERT INTO checkpoint (only_row, definitions_version) VALUES (false, 1)",
    "sales of a minute that is none": "UPDATE sales_by_minute SET minute = minute + interval '1 second'",
    "sales of nothing": "UPDATE sales_by_minute SET placed = 0, tickets_placed = 0",
    "sales without tickets": "UPDATE sales_by_minute SET tickets_placed = 0",
    "more returned than cancelled": "UPDATE sales_by_minute SET returned = 1, tickets_returned = 1",
    "money of no currency": "UPDATE sales_by_minute SET paid = 1, tickets_paid = 1, currency = NULL",
    "a step of a capacity that changes nothing": "UPDATE capacity_changes SET capacity = NULL",
    "a negative position": "UPDATE checkpoint SET position = -1",
}


async def test_every_table_and_column_is_explained(database_url: str) -> None:
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        assert await (await connection.execute(UNEXPLAINED, SCHEMA)).fetchall() == []
        names = {row[0] for row in await (await connection.execute(TABLE_NAMES, SCHEMA)).fetchall()}
    assert names == {"checkpoint", *(table.name for table in TABLES)}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_a_row_has_the_columns_of_its_table_in_their_order(database_url: str, table: Table) -> None:
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        columns = await (await connection.execute(COLUMNS, SCHEMA | {"table": table.name})).fetchall()
        cursor = await connection.execute(table.read, table.asked([]))
        read = [column.name for column in cursor.description or ()]
    assert [column for (column,) in columns] == read == list(table.row.__struct_fields__)


async def test_the_tables_have_the_version_of_the_code(database_url: str) -> None:
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        start = await checkpoint.read(connection)
    assert (start.position, start.definitions_version) == (0, DEFINITIONS_VERSION)


def test_every_domain_event_is_folded_by_some_table() -> None:
    def all_below(cls: type[DomainEvent]) -> set[type[DomainEvent]]:
        return {cls, *(below for child in cls.__subclasses__() for below in all_below(child))}

    ours = {cls for cls in all_below(DomainEvent) - {DomainEvent} if cls.__module__.startswith("domain.")}
    assert changed_keys(TABLES).keys() == ours


def test_each_table_is_made_by_the_file_of_its_name() -> None:
    names = {file.name for file in files(".sql")}
    views = {"views.sql", "views_of_lag_and_demand.sql", "views_over_time.sql"}
    assert names == {"checkpoint.sql", *(f"{table.name}.sql" for table in TABLES)} | views


async def test_the_tables_refuse_what_can_not_be(database_url: str) -> None:
    office = BoxOffice(1)
    create = office.create()
    commands = [office.submit(create)]
    while len(commands) < 2:
        commands += [domain_events] if (domain_events := office.submit(office.reserve())) else []
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await append(connection, commands)
        await Batches(connection, await checkpoint.read(connection)).fold_next()
        refused = set()
        for what, statement in IMPOSSIBLE.items():
            try:
                await connection.execute(statement)
            except psycopg.errors.CheckViolation:
                refused.add(what)
    assert refused == IMPOSSIBLE.keys()


async def test_text_of_any_kind_comes_back_as_it_was(database_url: str) -> None:
    office = BoxOffice(1)
    create = office.create()
    title = "".join(map(chr, (*range(1, 0x250), 0x2028, 0xFFFD, 0x1F3AB))) + "{}[]\"'\\n"
    details = msgspec.structs.replace(create.details, title=title, description=title * 3, street=title, state=title)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await append(connection, [office.submit(msgspec.structs.replace(create, details=details))])
        await Batches(connection, await checkpoint.read(connection)).fold_next()
        query = "SELECT title, description, street, state FROM events"
        assert await (await connection.execute(query)).fetchall() == [(title, title * 3, title, title)]


async def test_the_largest_amounts_and_the_finest_instants_come_back_as_they_were(database_url: str) -> None:
    office = BoxOffice(1)
    office.now += timedelta(microseconds=1)
    create = office.create()
    offer = msgspec.structs.replace(create.ticket_types[0], capacity=10_000_000, amount_minor=10**12)
    limits = msgspec.structs.replace(create.limits, max_per_buyer=10_000)
    commands: list[Any] = [office.submit(msgspec.structs.replace(create, ticket_types=(offer,), limits=limits))]
    reserve = msgspec.structs.replace(office.reserve(), quantity=10_000)
    commands.append(office.submit(reserve))
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await append(connection, commands)
        await Batches(connection, await checkpoint.read(connection)).fold_next()
        query = "SELECT amount_minor, placed_at FROM reservations"
        assert await (await connection.execute(query)).fetchall() == [(10**16, commands[1][0].timestamp)]
        available = await connection.execute("SELECT available, reserved FROM ticket_types")
        assert await available.fetchall() == [(9_990_000, 10_000)]


async def test_more_may_be_paid_in_a_minute_than_a_bigint_holds(database_url: str) -> None:
    """Whoever pays and cancels the dearest tickets for a minute would stop the projections otherwise."""
    office = BoxOffice(1)
    create = office.create()
    offer = msgspec.structs.replace(create.ticket_types[0], capacity=10_000, amount_minor=10**12)
    limits = msgspec.structs.replace(create.limits, max_per_buyer=10_000)
    opened = office.submit(msgspec.structs.replace(create, ticket_types=(offer,), limits=limits))
    reserve = msgspec.structs.replace(office.reserve(), quantity=10_000)
    reserved = office.submit(reserve)
    by_buyer = office.asked_by(reserve.actor.account_id, create.event_id)
    paid = office.submit(PayReservation(**by_buyer, reservation_id=reserve.reservation_id))
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await append(connection, [opened, reserved])
        await Batches(connection, await checkpoint.read(connection)).fold_next()
        await connection.execute(PAID_A_LOT, (paid[0].timestamp.replace(second=0, microsecond=0), 2**66))
        await append(connection, [paid])
        await Batches(connection, await checkpoint.read(connection)).fold_next()
        revenue = await connection.execute("SELECT revenue_minor FROM sales_by_minute")
        assert await revenue.fetchall() == [(2**66 + 10**16,)]


async def test_the_worker_may_write_rows_the_api_reads_them_and_neither_owns_anything(database_url: str) -> None:
    may = "SELECT has_table_privilege(%s, %s, %s)"
    for role, writes in ((APP_ROLE, False), (WORKER_ROLE, True)):
        async with await connect(database_url, role=role) as connection:
            name = connection.box_office.roles[role]
            for table in ("checkpoint", *(table.name for table in TABLES)):
                for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                    row = await (await connection.execute(may, (name, table, right))).fetchone()
                    assert row == (writes or right == "SELECT",)
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))
