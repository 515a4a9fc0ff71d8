"""Makes the tables and views of the projections, in whatever schema they shall stand."""

from importlib import resources

from psycopg import sql

from eventstore.connections import HISTORY_SCHEMA, Connection

CREATE = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}")
# What is made stands in the first; views may look into the history's too.
ENTER = sql.SQL("SET LOCAL search_path = {}, {}")
GRANT_USAGE = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}")
GRANT_ROWS = sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {} TO {}")


async def make(connection: Connection, schema: str) -> None:
    """Make the schema with all tables, empty and at position 0. Belongs in a transaction, by who may create schemas."""
    await connection.execute(CREATE.format(sql.Identifier(schema)))
    await enter(connection, schema)
    files = [file for file in resources.files("projections").iterdir() if file.name.endswith(".sql")]
    for file in sorted(files, key=lambda file: file.name):
        await connection.execute(file.read_bytes())


async def enter(connection: Connection, schema: str) -> None:
    """Mean the tables of this schema until the end of the transaction."""
    await connection.execute(ENTER.format(sql.Identifier(schema), sql.Identifier(HISTORY_SCHEMA)))


async def grant(connection: Connection, schema: str, role: str) -> None:
    """Let the role that serves read and fold the tables of this schema."""
    for right in (GRANT_USAGE, GRANT_ROWS):
        await connection.execute(right.format(sql.Identifier(schema), sql.Identifier(role)))
