"""Makes both schemas, in one repeatable step that any number of processes may take at once."""

from psycopg import sql

from eventstore.errors import SchemaOutdated
from eventstore.postgres import connections
from eventstore.postgres.connections import (
    APP_ROLE,
    HISTORY_SCHEMA,
    PROJECTIONS_SCHEMA,
    WORKER_ROLE,
    Connection,
    connect_as_owner,
)
from eventstore.postgres.lock_keys import LOCK_CLASS, MIGRATION_KEY, POSITION_KEY
from eventstore.schema_version import SCHEMA_VERSION, steps
from eventstore.seals import seal_keys
from eventstore.writing import unique_event_names
from projections import checkpoint
from projections.checkpoint import DEFINITIONS_VERSION
from projections.schema import make_schema
from tixxety.processes.stop_signals import run
from tixxety.schema.database_roles import asks, make_role
from tixxety.schema.guards import guard
from tixxety.schema.rights import give_rights, let_logins_work
from tixxety.schema.version import HAS_VERSION, SEARCH_PATH, expect_this_version, expect_utf8, version_of

LOCK = "SELECT pg_advisory_lock(%s, %s)"
LOCK_POSITIONS = "SELECT pg_advisory_xact_lock(%s, %s)"
VERSION = "SELECT version FROM schema_version"
FIRST_VERSION = "INSERT INTO schema_version (version) VALUES (%s)"
NEXT_VERSION = "UPDATE schema_version SET version = %s"
HAS_PROJECTIONS = "SELECT to_regclass('checkpoint') IS NOT NULL"
NAMES_ARE_MISSING = """
SELECT NOT EXISTS (SELECT 1 FROM event_names) AND EXISTS (SELECT 1 FROM stored_events)
"""
# Others may be migrating, and a step may take its time.
OWNER_SETTINGS = {"lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
FIRST_WITH_TWO_ROLES = 3

NO_ROLE = (
    f"This login can neither create the role {APP_ROLE} nor act as it. "
    "The history is protected by its trigger alone, not by privileges as well."
)
NO_WORKER_ROLE = (
    f"This login can neither create the role {WORKER_ROLE} nor act as it, and a worker needs it to do its work: "
    f"have one that can run: CREATE ROLE {WORKER_ROLE} NOLOGIN, GRANT {WORKER_ROLE} to the worker's login, "
    "then run tixxety migrate again."
)
REBUILD_DUE = (
    "The tables for reading are of an older version than this program, and a rebuild is due: run tixxety rebuild. "
    "Until then they go on serving, and whoever folds them goes on."
)
NO_ANALYSTS = (
    f"This login can't create the role {make_schema.ANALYST_ROLE}, so that analysts can have no logins of their own. "
    f"Have one that can run: CREATE ROLE {make_schema.ANALYST_ROLE} NOLOGIN, then run tixxety migrate again."
)


def migrate(database_url: str) -> list[str]:
    """Bring the database to this program's schema version; returns what the operator should know, often nothing.

    Safe to run again, and by several at once. Raises `SchemaOutdated` on a schema of another version, and
    `psycopg.Error` when the database refuses or does not answer.
    """
    return run(_migrate(database_url))


async def _migrate(database_url: str) -> list[str]:
    async with await connect_as_owner(database_url, **OWNER_SETTINGS) as connection:
        expect_utf8(connection.info.parameter_status("server_encoding"))
        await connection.execute(LOCK, (LOCK_CLASS, MIGRATION_KEY))
        before = await _version(connection)
        notes = await _make_roles(connection)
        if 1 <= before < FIRST_WITH_TWO_ROLES:
            notes += await let_logins_work(connection)
        async with connection.transaction():
            await _make_history(connection, before)
            if await _make_projections(connection):
                notes.append(REBUILD_DUE)
            await make_schema.open_to_analysts(connection, PROJECTIONS_SCHEMA)
            notes += await give_rights(connection)
        async with connection.transaction():
            await connection.execute(SEARCH_PATH.format(sql.Identifier(HISTORY_SCHEMA)))
            await connection.execute(LOCK_POSITIONS, (LOCK_CLASS, POSITION_KEY))
            if await asks(connection, NAMES_ARE_MISSING):
                await unique_event_names.make_again(connection)
        notes += await guard(connection, from_version=before)
        return notes


async def _version(connection: Connection) -> int:
    """The version of the schema that is there, 0 before there is any. Raises SchemaOutdated on one we don't know."""
    await connection.execute(SEARCH_PATH.format(sql.Identifier(HISTORY_SCHEMA)))
    if not await asks(connection, HAS_VERSION):
        return 0
    version = version_of(await (await connection.execute(VERSION)).fetchone())
    if not 1 <= version <= SCHEMA_VERSION:
        expect_this_version(version)
    return version


async def _make_roles(connection: Connection) -> list[str]:
    """Make the three roles where they are missing; returns which of them this login can't do with as it should."""
    app, worker = [
        await make_role(connection, role, act_as=True) for role in (connections.APP_ROLE, connections.WORKER_ROLE)
    ]
    analysts = await make_role(connection, make_schema.ANALYST_ROLE, act_as=False)
    notes = [] if app else [NO_ROLE]
    notes += [NO_WORKER_ROLE] if app and not worker else []
    return notes if analysts else [*notes, NO_ANALYSTS]


async def _make_history(connection: Connection, version: int) -> None:
    """Take every step from the version that is there to ours."""
    await _enter(connection, HISTORY_SCHEMA)
    for step in steps()[version:]:
        await connection.execute(step)
    if version != SCHEMA_VERSION:
        await connection.execute(NEXT_VERSION if version else FIRST_VERSION, (SCHEMA_VERSION,))
    await seal_keys.ensure(connection)


async def _make_projections(connection: Connection) -> bool:
    """Make the tables where there are none; whether those that are there have older definitions than ours."""
    await make_schema.enter(connection, PROJECTIONS_SCHEMA)
    if not await asks(connection, HAS_PROJECTIONS):
        await make_schema.make(connection, PROJECTIONS_SCHEMA)
    version = (await checkpoint.read(connection)).definitions_version
    if version > DEFINITIONS_VERSION:
        raise SchemaOutdated(
            f"The tables for reading were made by version {version}; this program knows {DEFINITIONS_VERSION}."
        )
    return version < DEFINITIONS_VERSION


async def _enter(connection: Connection, name: str) -> None:
    await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))
    await connection.execute(SEARCH_PATH.format(sql.Identifier(name)))
