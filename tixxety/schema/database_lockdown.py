"""What `migrate` sees to beside tables and rights: that nobody else can stop sales, fill the disk or lift a guard."""

from typing import LiteralString

from psycopg import sql

from eventstore.append_only_status import APPEND_ONLY
from eventstore.box_office import ANALYST_ROLE
from eventstore.postgres.connections import Connection
from tixxety.schema.database_roles import asks
from tixxety.schema.rights import existing_roles

IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
ADVISORY_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'pg_catalog' AND p.proname ~ '^pg_(try_)?advisory_' ORDER BY 1
"""
# By each, and by temporary tables, whoever may log in could fill the disk: with large objects, or with WAL.
FILLING_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'pg_catalog'
  AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'pg_logical_emit_message') ORDER BY 1
"""
OWNS_DATABASE = """
SELECT pg_has_role(current_user, datdba, 'USAGE') FROM pg_database WHERE datname = current_database()
"""
LOCKS_ARE_OPEN = """
SELECT bool_or(has_function_privilege('public', name, 'EXECUTE')) FROM unnest(%(functions)s::text[]) AS name
"""
# Logins that serve and whose sessions the schema's owner can't end when they hold a lock and have gone silent.
OUT_OF_REACH = """
SELECT login.rolname::text FROM pg_roles login, pg_namespace history
WHERE login.rolcanlogin AND NOT login.rolsuper AND history.nspname = %(schema)s
  AND EXISTS (SELECT FROM pg_roles ours
              WHERE ours.rolname = ANY(%(roles)s::text[]) AND pg_has_role(login.oid, ours.oid, 'MEMBER'))
  AND NOT pg_has_role(history.nspowner, login.oid, 'USAGE')
  AND NOT (pg_has_role(history.nspowner, 'pg_signal_backend', 'USAGE')
           AND pg_has_role(history.nspowner, 'pg_read_all_stats', 'USAGE')) ORDER BY login.rolname
"""
SILENT_STAYS = (
    "A process with the login {login} that is frozen with a lock can stop sales for as long as the server lets "
    "it: have a superuser run GRANT pg_signal_backend, pg_read_all_stats TO the owner of the schema."
)
# Whose functions may write to the WAL on behalf of those who serve.
OWNER = "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = %(schema)s"
UNGUARDED = """
SELECT name FROM unnest(%(tables)s::text[]) AS name WHERE NOT EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = name::regclass AND tgname = 'append_only' AND tgenabled IN ('O', 'A')
      AND tgfoid = 'refuse_change'::regproc)
"""
GUARD = sql.SQL(
    "CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {} "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
)
SWITCH_ON = sql.SQL("ALTER TABLE {} ENABLE TRIGGER append_only")
CLOSE_DATABASE = sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC")
OPEN_DATABASE = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
IS_OPEN = "SELECT has_database_privilege('public', current_database(), 'CONNECT')"
ANALYSTS = """
SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND pg_has_role(oid, %(role)s, 'MEMBER')
"""
CLOSE_FUNCTION = sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC")
OPEN_FUNCTION = sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}")
# Before this version whoever may log in to the server could log in to the database.
FIRST_CLOSED = 3

OPEN_LOCKS = (
    "Any login to this database can take advisory locks and so stop all sales: only a superuser may revoke that. "
    "Run as one: REVOKE EXECUTE ON FUNCTION pg_advisory_lock(bigint) FROM PUBLIC, and so for each pg_*advisory* "
    "function, then GRANT it to {app} and {worker}."
)

GUARD_WAS_OFF = (
    "The trigger that refuses changes of {table} was missing or switched off, and is on again: "
    "see with tixxety verify whether anything was changed meanwhile."
)


async def guard(connection: Connection, *, from_version: int) -> list[str]:
    """See to all of it, as far as this login may; returns what the operator should know.

    Belongs outside of a transaction, with `search_path` on the history's schema, once roles and rights are there.
    `from_version` is the schema's version from before, 0 for none.
    """
    office = connection.box_office
    notes = await _guard_history(connection)
    roles = await existing_roles(connection)
    if roles and await asks(connection, OWNS_DATABASE):
        await _guard_database(connection, roles, from_version)
    functions = [name for (name,) in await (await connection.execute(ADVISORY_FUNCTIONS)).fetchall()]
    if await asks(connection, IS_SUPERUSER):
        await _guard_functions(connection, functions, roles)
    if await asks(connection, LOCKS_ARE_OPEN, functions=functions):
        notes.append(OPEN_LOCKS.format(**office.roles))
    rows = await (await connection.execute(OUT_OF_REACH, {"schema": office.history, "roles": roles})).fetchall()
    return [*notes, *(SILENT_STAYS.format(login=login) for (login,) in rows)]


async def _guard_history(connection: Connection) -> list[str]:
    """Put the triggers back that keep what is only added to from being changed."""
    rows = await (await connection.execute(UNGUARDED, {"tables": list(APPEND_ONLY)})).fetchall()
    for (table,) in rows:
        async with connection.transaction():
            for statement in (GUARD, SWITCH_ON):
                await connection.execute(statement.format(sql.Identifier(table)))
    return [GUARD_WAS_OFF.format(table=table) for (table,) in rows]


async def _guard_database(connection: Connection, roles: list[str], from_version: int) -> None:
    """Let nobody log in but our roles, and whom the owner lets; analysts of an older version as they could before."""
    database = sql.Identifier(connection.info.dbname)
    async with connection.transaction():
        if 0 < from_version < FIRST_CLOSED and await asks(connection, IS_OPEN):
            role = connection.box_office.roles[ANALYST_ROLE]
            analysts = await (await connection.execute(ANALYSTS, {"role": role})).fetchall()
            roles = [*roles, *(name for (name,) in analysts)]
        await connection.execute(CLOSE_DATABASE.format(database))
        whom = sql.SQL(", ").join(map(sql.Identifier, roles))
        await connection.execute(OPEN_DATABASE.format(database, whom))


async def _guard_functions(connection: Connection, advisory: list[LiteralString], roles: list[str]) -> None:
    """Only our roles take advisory locks, and only the owner writes what is not ours: large objects, WAL."""
    async with connection.transaction():
        ((owner,),) = await (await connection.execute(OWNER, {"schema": connection.box_office.history})).fetchall()
        rows = await (await connection.execute(FILLING_FUNCTIONS)).fetchall()
        whom: dict[LiteralString, sql.Composable] = {name: sql.SQL(owner) for (name,) in rows}
        if roles:
            whom |= dict.fromkeys(advisory, sql.SQL(", ").join(map(sql.Identifier, roles)))
        for function, grantees in whom.items():
            await connection.execute(CLOSE_FUNCTION.format(sql.SQL(function)))
            await connection.execute(OPEN_FUNCTION.format(sql.SQL(function), grantees))
