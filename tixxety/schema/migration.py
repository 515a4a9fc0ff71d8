"""Makes both schemas, in one repeatable step that any number of processes may take at once."""

from psycopg import sql

from eventstore import schema_version
from eventstore.box_office import ANALYST_ROLE, APP_ROLE, MIGRATION_KEY, POSITION_KEY, WORKER_ROLE, BoxOffice
from eventstore.errors import SchemaOutdated
from eventstore.postgres.connections import Connection, connect_as_owner
from eventstore.schema_version import SCHEMA_VERSION, steps
from eventstore.seals import seal_keys
from eventstore.writing import unique_event_names
from projections import checkpoint
from projections.checkpoint import DEFINITIONS_VERSION
from projections.schema import make_schema
from tixxety.processes.stop_signals import run
from tixxety.schema.database_lockdown import guard
from tixxety.schema.database_roles import asks, make_role
from tixxety.schema.rights import give_rights, let_logins_work
from tixxety.schema.version import SEARCH_PATH, expect_this_version, expect_utf8

LOCK = "SELECT pg_advisory_lock(%(lock_class)s, %(lock_key)s)"
LOCK_POSITIONS = "SELECT pg_advisory_xact_lock(%(lock_class)s, %(lock_key)s)"
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
    "This login can neither create the role {app} nor act as it. "
    "The history is protected by its trigger alone, not by privileges as well."
)
NO_WORKER_ROLE = (
    "This login can neither create the role {worker} nor act as it, and a worker needs it to do its work: "
    "have one that can run: CREATE ROLE {worker} NOLOGIN, GRANT {worker} to the worker's login, "
    "then run tixxety migrate again."
)
REBUILD_DUE = (
    "The tables for reading are of an older version than this program, and a rebuild is due: run tixxety rebuild. "
    "Until then they go on serving, and whoever folds them goes on."
)
NO_ANALYSTS = (
    "This login can't create the role {analyst}, so that analysts can have no logins of their own. "
    "Have one that can run: CREATE ROLE {analyst} NOLOGIN, then run tixxety migrate again."
)


def migrate(box_office: BoxOffice | str) -> list[str]:
    """Make the box office, or bring it to our schema version; returns what the operator should know, often nothing.

    Safe to run again, and by several at once. Raises `SchemaOutdated` on a schema of another version, and
    `psycopg.Error` when the database refuses or does not answer.
    """
    return run(_migrate(BoxOffice.at(box_office)))


async def _migrate(box_office: BoxOffice) -> list[str]:
    async with await connect_as_owner(box_office, **OWNER_SETTINGS) as connection:
        expect_utf8(connection.info.parameter_status("server_encoding"))
        await connection.execute(LOCK, box_office.lock(MIGRATION_KEY))
        before = await _version(connection)
        notes = await _make_roles(connection)
        if 1 <= before < FIRST_WITH_TWO_ROLES:
            notes += await let_logins_work(connection)
        async with connection.transaction():
            await _make_history(connection, before)
            if await _make_projections(connection):
                notes.append(REBUILD_DUE)
            await make_schema.open_to_analysts(connection, box_office.projections)
            notes += await give_rights(connection)
        async with connection.transaction():
            await connection.execute(SEARCH_PATH.format(sql.Identifier(box_office.history)))
            await connection.execute(LOCK_POSITIONS, box_office.lock(POSITION_KEY))
            if await asks(connection, NAMES_ARE_MISSING):
                await unique_event_names.make_again(connection)
        notes += await guard(connection, from_version=before)
        return notes


async def _version(connection: Connection) -> int:
    """The version of the schema that is there, 0 before there is any. Raises SchemaOutdated on one we don't know."""
    await connection.execute(SEARCH_PATH.format(sql.Identifier(connection.box_office.history)))
    found = await schema_version.read(connection)
    if found is None:
        return 0
    version = found[0]
    if not 1 <= version <= SCHEMA_VERSION:
        # Also a newer one that serves this program: what it has more is nothing to take a step from.
        expect_this_version(version, version)
    return version


async def _make_roles(connection: Connection) -> list[str]:
    """Make the three roles where they are missing; returns which of them this login can't do with as it should."""
    roles = connection.box_office.roles
    app, worker = [await make_role(connection, roles[role], act_as=True) for role in (APP_ROLE, WORKER_ROLE)]
    analysts = await make_role(connection, roles[ANALYST_ROLE], act_as=False)
    notes = [] if app else [NO_ROLE]
    notes += [NO_WORKER_ROLE] if app and not worker else []
    notes += [] if analysts else [NO_ANALYSTS]
    return [note.format(**roles) for note in notes]


async def _make_history(connection: Connection, version: int) -> None:
    """Take every step from the version that is there to ours."""
    await _enter(connection, connection.box_office.history)
    for step in steps()[version:]:
        await connection.execute(step)
    if version != SCHEMA_VERSION:
        await connection.execute(NEXT_VERSION if version else FIRST_VERSION, (SCHEMA_VERSION,))
    await seal_keys.ensure(connection)


async def _make_projections(connection: Connection) -> bool:
    """Make the tables where there are none; whether those that are there have older definitions than ours."""
    schema = connection.box_office.projections
    await make_schema.enter(connection, schema)
    if not await asks(connection, HAS_PROJECTIONS):
        await make_schema.make(connection, schema)
    version = (await checkpoint.read(connection)).definitions_version
    if version > DEFINITIONS_VERSION:
        raise SchemaOutdated(
            f"The tables for reading were made by version {version}; this program knows {DEFINITIONS_VERSION}."
        )
    return version < DEFINITIONS_VERSION


async def _enter(connection: Connection, name: str) -> None:
    await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))
    await connection.execute(SEARCH_PATH.format(sql.Identifier(name)))
