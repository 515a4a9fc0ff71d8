"""What a database or a login was set to by others changes nothing for us; what we can't live with is refused."""

import asyncio
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from psycopg import sql
from psycopg.errors import RestrictViolation

from eventstore.postgres.connections import connect
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from projections.projector.projector import FOLD_SETTINGS
from tests.conftest import drop, execute, with_database
from tests.tixxety.forked import run_command as tixxety
from tests.tixxety.schema.test_migration import sell
from tixxety.errors import WrongEncoding
from tixxety.schema.migration import migrate
from tixxety.schema.version import schema_versions

SETTINGS = {
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "extra_float_digits": "-5",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "client_encoding": "LATIN1",
    "array_nulls": "off",
    "timezone": "Asia/Kathmandu",
    "search_path": "nowhere",
    "statement_timeout": "1s",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1s",
    "idle_session_timeout": "1s",
    "default_transaction_isolation": "serializable",
    "synchronous_commit": "off",
    "jit": "on",
    "enable_indexscan": "off",
    "row_security": "off",
    "xmloption": "document",
    "quote_all_identifiers": "on",
    "transform_null_equals": "on",
    "plpgsql.variable_conflict": "use_column",
}


def test_whatever_the_database_was_set_to_the_box_office_works(empty_database_url: str) -> None:
    name = urlsplit(empty_database_url).path[1:]
    for setting, value in SETTINGS.items():
        alter = sql.SQL("ALTER DATABASE {} SET {} = {}")
        parts = sql.SQL(".").join(map(sql.Identifier, setting.split(".")))
        execute(empty_database_url, alter.format(sql.Identifier(name), parts, sql.Literal(value)))
    assert migrate(empty_database_url) == []
    assert migrate(empty_database_url) == []
    asyncio.run(sell(empty_database_url))
    asyncio.run(fold(empty_database_url))
    verified = tixxety("verify", DATABASE_URL=empty_database_url)
    assert (verified.returncode, verified.stderr) == (0, ""), verified


async def fold(database_url: str) -> None:
    async with await connect(database_url, **FOLD_SETTINGS) as connection:
        batches = Batches(connection, await checkpoint.read(connection))
        while await batches.fold_next():
            pass


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_can_not_keep_every_text_is_refused(server_url: str, encoding: str) -> None:
    name = f"encoded_{uuid4().hex}"
    make = "CREATE DATABASE {} ENCODING {} LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    execute(server_url, sql.SQL(make).format(sql.Identifier(name), sql.Literal(encoding)))
    url = with_database(server_url, name)
    try:
        for refused in (migrate, schema_versions):
            with pytest.raises(WrongEncoding, match=f"encoding is {encoding}, and Tixxety needs UTF8"):
                refused(url)
    finally:
        drop(server_url, name)


@pytest.mark.parametrize("table", ["stored_events", "seals", "audit_reads"])
@pytest.mark.parametrize("lift", ["ALTER TABLE {} DISABLE TRIGGER ALL", "DROP TRIGGER append_only ON {}"])
def test_a_guard_that_was_lifted_is_put_back(database_url: str, table: str, lift: str) -> None:
    guarded = sql.Identifier("tixxety", table)
    execute(database_url, sql.SQL(lift).format(guarded))
    (note,) = migrate(database_url)
    assert f"changes of {table}" in note
    assert "tixxety verify" in note
    with pytest.raises(RestrictViolation):
        execute(database_url, sql.SQL("TRUNCATE {}").format(guarded))
    assert migrate(database_url) == []
