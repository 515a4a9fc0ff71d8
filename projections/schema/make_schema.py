"""Makes the tables and views of the projections, in whatever schema they shall stand, and hands rights on."""

import hashlib
from pathlib import Path
from typing import Any

from psycopg import sql

from eventstore.box_office import ANALYST_ROLE, APP_ROLE, WORKER_ROLE
from eventstore.postgres.connections import Connection
from projections import checkpoint

PACKAGE = Path(__file__).parents[1]
CREATE = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}")
# What is made stands in the first; views may look into the history's too.
ENTER = sql.SQL("SET LOCAL search_path = {}, {}")
HAS_ROLE = "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = %(role)s)"
OPEN_TO_READERS = (
    sql.SQL("GRANT USAGE ON SCHEMA {} TO {}"),
    sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}"),
    sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT SELECT ON TABLES TO {}"),
)
# What the files of views are named after: they come once all tables are there.
VIEWS = "views"
USE = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}")
READ = sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}")
FOLD = sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {} TO {}")
RIGHTS_ON_SCHEMA = """
SELECT privilege_type, grantee::regrole::text, grantee = 0, is_grantable
FROM pg_namespace, aclexplode(nspacl) WHERE nspname = %(schema)s AND grantee <> nspowner
"""
RIGHTS_ON_RELATIONS = """
SELECT c.relname, privilege_type, grantee::regrole::text, grantee = 0, is_grantable
FROM pg_class c, aclexplode(c.relacl)
WHERE c.relnamespace = %(schema)s::regnamespace AND grantee <> c.relowner AND c.relname IN (
    SELECT relname FROM pg_class WHERE relnamespace = %(other)s::regnamespace)
"""


async def make(connection: Connection, schema: str) -> None:
    """Make the schema with all tables, empty and at position 0, and open it to analysts.

    Belongs in a transaction, by who may create schemas.
    """
    await connection.execute(CREATE.format(sql.Identifier(schema)))
    await enter(connection, schema)
    for file in sorted(files(".sql"), key=lambda file: (file.name.startswith(VIEWS), file.name)):
        await connection.execute(file.read_bytes())
    await checkpoint.begin(connection)
    await open_to_analysts(connection, schema)


async def enter(connection: Connection, schema: str) -> None:
    """Mean the tables of this schema until the end of the transaction."""
    await connection.execute(ENTER.format(sql.Identifier(schema), sql.Identifier(connection.box_office.history)))


async def grant(connection: Connection, schema: str) -> None:
    """Let the API's role read the tables of this schema and the worker's fold them; without the latter, the former."""
    app, worker = (connection.box_office.roles[role] for role in (APP_ROLE, WORKER_ROLE))
    folds = worker if await _exists(connection, worker) else app
    for role, rights in ((app, (USE, READ)), (folds, (USE, FOLD))):
        if await _exists(connection, role):
            for right in rights:
                await connection.execute(right.format(sql.Identifier(schema), sql.Identifier(role)))


async def open_to_analysts(connection: Connection, schema: str) -> None:
    """Let analysts read this schema and whatever its owner makes in it later, where there is the role for them."""
    analyst = connection.box_office.roles[ANALYST_ROLE]
    if await _exists(connection, analyst):
        for right in OPEN_TO_READERS:
            await connection.execute(right.format(sql.Identifier(schema), sql.Identifier(analyst)))


async def _exists(connection: Connection, role: str) -> bool:
    return await (await connection.execute(HAS_ROLE, {"role": role})).fetchone() == (True,)


async def copy_rights(connection: Connection, source: str, target: str) -> None:
    """Give everybody the rights in one schema that they have in another, on it and on what has the same name there.

    Rights on single columns, and default privileges, are not among them.
    """
    on_schema = await connection.execute(RIGHTS_ON_SCHEMA, {"schema": source})
    for right, *whom in await on_schema.fetchall():
        await _give(connection, right, sql.SQL("SCHEMA {}").format(sql.Identifier(target)), *whom)
    on_relations = await connection.execute(RIGHTS_ON_RELATIONS, {"schema": source, "other": target})
    for relation, right, *whom in await on_relations.fetchall():
        await _give(connection, right, sql.Identifier(target, relation), *whom)


async def _give(
    connection: Connection, right: Any, what: sql.Composable, grantee: Any, is_public: bool, may_grant: bool
) -> None:
    """`right` and `grantee` are the catalogue's own words, quoted where they have to be."""
    whom = sql.SQL("PUBLIC" if is_public else grantee)
    how = sql.SQL("WITH GRANT OPTION" if may_grant else "")
    await connection.execute(sql.SQL("GRANT {} ON {} TO {} {}").format(sql.SQL(right), what, whom, how))


def fingerprint() -> str:
    """SHA-256 of all code and SQL of this package: tables of another fingerprint may have been folded otherwise."""
    digest = hashlib.sha256()
    for file in files(".py", ".sql"):
        content = file.read_bytes()
        digest.update(b"%s %d\n%s" % (file.relative_to(PACKAGE).as_posix().encode(), len(content), content))
    return digest.hexdigest()


def files(*endings: str) -> list[Path]:
    """Those of the package `projections` whose names end so, in order."""
    return sorted(file for file in PACKAGE.rglob("*") if file.name.endswith(endings))
