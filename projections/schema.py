"""Makes the tables and views of the projections, in whatever schema they shall stand."""

from importlib import resources

from psycopg import sql

from eventstore.connections import HISTORY_SCHEMA, Connection

CREATE = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}")
# What is made stands in the first; views may look into the history's too.
ENTER = sql.SQL("SET LOCAL search_path = {}, {}")
# Who may read the projections, and nothing else.
ANALYST_ROLE = "tixxety_analyst"
HAS_ROLE = "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = %(role)s)"
OPEN_TO_READERS = (
    sql.SQL("GRANT USAGE ON SCHEMA {} TO {}"),
    sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}"),
    sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT SELECT ON TABLES TO {}"),
)
# What the files of views are named after: they come once all tables are there.
VIEWS = "views"
GRANT_USAGE = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}")
GRANT_ROWS = sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {} TO {}")


async def make(connection: Connection, schema: str) -> None:
    """Make the schema with all tables, empty and at position 0, and open it to analysts.

    Belongs in a transaction, by who may create schemas.
    """
    await connection.execute(CREATE.format(sql.Identifier(schema)))
    await enter(connection, schema)
    files = [file for file in resources.files("projections").iterdir() if file.name.endswith(".sql")]
    for file in sorted(files, key=lambda file: (file.name.startswith(VIEWS), file.name)):
        await connection.execute(file.read_bytes())
    await open_to_analysts(connection, schema)


async def enter(connection: Connection, schema: str) -> None:
    """Mean the tables of this schema until the end of the transaction."""
    await connection.execute(ENTER.format(sql.Identifier(schema), sql.Identifier(HISTORY_SCHEMA)))


async def grant(connection: Connection, schema: str, role: str) -> None:
    """Let the role that serves read and fold the tables of this schema."""
    for right in (GRANT_USAGE, GRANT_ROWS):
        await connection.execute(right.format(sql.Identifier(schema), sql.Identifier(role)))


async def open_to_analysts(connection: Connection, schema: str) -> None:
    """Let analysts read this schema and whatever its owner makes in it later, where there is the role for them."""
    cursor = await connection.execute(HAS_ROLE, {"role": ANALYST_ROLE})
    if await cursor.fetchone() == (True,):
        for right in OPEN_TO_READERS:
            await connection.execute(right.format(sql.Identifier(schema), sql.Identifier(ANALYST_ROLE)))
