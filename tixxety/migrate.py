"""Makes both schemas, in one repeatable step that any number of processes may take at once."""

from typing import Any, LiteralString

from psycopg import sql

from eventstore import names, seal_keys
from eventstore.connections import APP_ROLE, HISTORY_SCHEMA, PROJECTIONS_SCHEMA, Connection
from eventstore.failures import SchemaOutdated
from eventstore.locks import LOCK_CLASS, MIGRATION_KEY, POSITION_KEY
from eventstore.schema import SCHEMA_VERSION, VERSIONS, steps
from projections import checkpoint, schema
from projections.checkpoint import DEFINITIONS_VERSION
from tixxety.roles import asks, make_role
from tixxety.stop_signals import run

LOCK = "SELECT pg_advisory_lock(%s, %s)"
LOCK_POSITIONS = "SELECT pg_advisory_xact_lock(%s, %s)"
HAS_VERSION = "SELECT to_regclass('schema_version') IS NOT NULL"
VERSION = "SELECT version FROM schema_version"
FIRST_VERSION = "INSERT INTO schema_version (version) VALUES (%s)"
NEXT_VERSION = "UPDATE schema_version SET version = %s"
HAS_PROJECTIONS = "SELECT to_regclass('checkpoint') IS NOT NULL"
IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
ADVISORY_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'pg_catalog' AND p.proname ~ '^pg_(try_)?advisory_' ORDER BY 1
"""
# Each makes a large object: the one thing that whoever may log in could fill the disk with but for temporary tables.
FILLING_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'pg_catalog' AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea') ORDER BY 1
"""
OWNS_DATABASE = """
SELECT pg_has_role(current_user, datdba, 'USAGE') FROM pg_database WHERE datname = current_database()
"""
LOCKS_ARE_OPEN = """
SELECT bool_or(has_function_privilege('public', name, 'EXECUTE')) FROM unnest(%(functions)s::text[]) AS name
"""
NAMES_ARE_MISSING = """
SELECT NOT EXISTS (SELECT 1 FROM event_names) AND EXISTS (SELECT 1 FROM stored_events)
"""
HISTORY_RIGHTS = {
    "stored_events": "SELECT, INSERT",
    "history": "SELECT",
    "schema_version": "SELECT",
    "event_names": "SELECT, INSERT, UPDATE, DELETE",
    "snapshots": "SELECT, INSERT, UPDATE, DELETE",
    "accounts": "SELECT, INSERT, UPDATE, DELETE",
    "refused_together": "SELECT, INSERT, DELETE",
    "refusals": "SELECT",
    "seals": "SELECT, INSERT",
    "seal_keys": "SELECT",
    "audit_reads": "SELECT, INSERT",
}
HISTORY_FUNCTIONS = ("end_silent_holders", "wait_for_standbys")
SEARCH_PATH = sql.SQL("SET search_path = {}")

NO_ROLE = (
    f"This login can neither create the role {APP_ROLE} nor act as it. "
    "The history is protected by its trigger alone, not by privileges as well."
)
REBUILD_DUE = (
    "The tables for reading are of an older version than this program, and a rebuild is due: run tixxety rebuild. "
    "Until then they go on serving, and whoever folds them goes on."
)
NO_ANALYSTS = (
    f"This login can't create the role {schema.ANALYST_ROLE}, so that analysts can have no logins of their own. "
    f"Have one that can run: CREATE ROLE {schema.ANALYST_ROLE} NOLOGIN, then run tixxety migrate again."
)
OPEN_LOCKS = (
    "Any login to this database can take advisory locks and so stop all sales: only a superuser may revoke that. "
    f"Run as one: REVOKE EXECUTE ON FUNCTION pg_advisory_lock(bigint) FROM PUBLIC, and so for each pg_*advisory* "
    f"function, then GRANT it to {APP_ROLE}."
)


def migrate(database_url: str) -> list[str]:
    """Bring the database to this program's schema version; returns what the operator should know, often nothing.

    Safe to run again, and by several at once. Raises `SchemaOutdated` on a schema of another version, and
    `psycopg.Error` when the database refuses or does not answer.
    """
    return run(_migrate(database_url))


def schema_version(database_url: str) -> int | None:
    """The version of the schema that is in the database; None where there is none yet."""
    found = schema_versions(database_url)
    return found[0] if found else None


def schema_versions(database_url: str) -> tuple[int, int] | None:
    """The same, and the oldest version whose programs it serves."""
    return run(_schema_versions(database_url))


def version_of(row: tuple[Any, ...] | None) -> int:
    """The version in the table's only row; 0, which there never was, where somebody has deleted it."""
    return int(row[0]) if row else 0


def expect_this_version(version: int, serves_from: int | None = None) -> None:
    """Raises SchemaOutdated on an older schema, which `tixxety migrate` brings up to date, and on one it can't know.

    A newer one is known as far as it serves programs of this version: from `serves_from` on, or its own alone.
    """
    if serves_from is not None and serves_from <= SCHEMA_VERSION <= version:
        return
    if 1 <= version < SCHEMA_VERSION:
        raise SchemaOutdated(
            f"The schema has version {version}; this program needs {SCHEMA_VERSION}: run tixxety migrate."
        )
    if version != SCHEMA_VERSION:
        raise SchemaOutdated(f"The schema was made by version {version}; this program knows {SCHEMA_VERSION}.")


async def _schema_versions(database_url: str) -> tuple[int, int] | None:
    async with await Connection.connect(database_url, autocommit=True, connect_timeout=5) as connection:
        await connection.execute(SEARCH_PATH.format(sql.Identifier(HISTORY_SCHEMA)))
        if not await asks(connection, HAS_VERSION):
            return None
        row = await (await connection.execute(VERSIONS)).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)


async def _migrate(database_url: str) -> list[str]:
    connection = await Connection.connect(database_url, autocommit=True, connect_timeout=10)
    # Others may be migrating, and a step may take its time.
    connection.answer_seconds = None
    async with connection:
        await connection.execute(LOCK, (LOCK_CLASS, MIGRATION_KEY))
        notes = []
        has_role = await make_role(connection, APP_ROLE, act_as=True)
        if not has_role:
            notes.append(NO_ROLE)
        if not await make_role(connection, schema.ANALYST_ROLE, act_as=False):
            notes.append(NO_ANALYSTS)
        async with connection.transaction():
            await _make_history(connection)
            if await _make_projections(connection):
                notes.append(REBUILD_DUE)
            await schema.open_to_analysts(connection, PROJECTIONS_SCHEMA)
            if has_role:
                await _grant(connection)
        async with connection.transaction():
            await connection.execute(SEARCH_PATH.format(sql.Identifier(HISTORY_SCHEMA)))
            await connection.execute(LOCK_POSITIONS, (LOCK_CLASS, POSITION_KEY))
            if await asks(connection, NAMES_ARE_MISSING):
                await names.make_again(connection)
        await _guard_disk(connection)
        functions = [name for (name,) in await (await connection.execute(ADVISORY_FUNCTIONS)).fetchall()]
        if has_role and await asks(connection, IS_SUPERUSER):
            await _guard_advisory_locks(connection, functions)
        if await asks(connection, LOCKS_ARE_OPEN, functions=functions):
            notes.append(OPEN_LOCKS)
        return notes


async def _make_history(connection: Connection) -> None:
    """Take every step from the version that is there to ours."""
    await _enter(connection, HISTORY_SCHEMA)
    version = 0
    if await asks(connection, HAS_VERSION):
        version = version_of(await (await connection.execute(VERSION)).fetchone())
        if not 1 <= version <= SCHEMA_VERSION:
            expect_this_version(version)
    for step in steps()[version:]:
        await connection.execute(step)
    if version != SCHEMA_VERSION:
        await connection.execute(NEXT_VERSION if version else FIRST_VERSION, (SCHEMA_VERSION,))
    await seal_keys.ensure(connection)


async def _make_projections(connection: Connection) -> bool:
    """Make the tables where there are none; whether those that are there have older definitions than ours."""
    await schema.enter(connection, PROJECTIONS_SCHEMA)
    if not await asks(connection, HAS_PROJECTIONS):
        await schema.make(connection, PROJECTIONS_SCHEMA)
    version = (await checkpoint.read(connection)).definitions_version
    if version > DEFINITIONS_VERSION:
        raise SchemaOutdated(
            f"The tables for reading were made by version {version}; this program knows {DEFINITIONS_VERSION}."
        )
    return version < DEFINITIONS_VERSION


async def _enter(connection: Connection, name: str) -> None:
    await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))
    await connection.execute(SEARCH_PATH.format(sql.Identifier(name)))


async def _grant(connection: Connection) -> None:
    role = sql.Identifier(APP_ROLE)
    await connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(HISTORY_SCHEMA), role))
    for table, rights in HISTORY_RIGHTS.items():
        grant = sql.SQL("GRANT {} ON {} TO {}")
        await connection.execute(grant.format(sql.SQL(rights), sql.Identifier(HISTORY_SCHEMA, table), role))
    for function in HISTORY_FUNCTIONS:
        grant = sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}")
        await connection.execute(grant.format(sql.Identifier(HISTORY_SCHEMA, function), role))
    await schema.grant(connection, PROJECTIONS_SCHEMA, APP_ROLE)


async def _guard_advisory_locks(connection: Connection, functions: list[LiteralString]) -> None:
    """Only our role may take advisory locks: else any login without a grant could stop all sales."""
    async with connection.transaction():
        for function in functions:
            revoke = sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(sql.SQL(function))
            grant = sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(function), sql.Identifier(APP_ROLE))
            await connection.execute(revoke)
            await connection.execute(grant)


async def _guard_disk(connection: Connection) -> None:
    """Nobody but the owner can write what is not ours, as far as this login may see to it."""
    async with connection.transaction():
        if await asks(connection, OWNS_DATABASE):
            database = sql.Identifier(connection.info.dbname)
            await connection.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(database))
        if await asks(connection, IS_SUPERUSER):
            for (function,) in await (await connection.execute(FILLING_FUNCTIONS)).fetchall():
                revoke = sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC")
                await connection.execute(revoke.format(sql.SQL(function)))
