"""The versions of the history's schema: one file of statements each, run in order and once."""

from importlib import resources

from psycopg.errors import UndefinedTable

from eventstore.postgres.connections import Connection

# Raised with every change of what `tixxety migrate` makes.
SCHEMA_VERSION = 4

# `serves_from` is younger than the table: until then a schema serves the programs of its own version.
VERSIONS = """
SELECT version, coalesce((to_jsonb(one) ->> 'serves_from')::integer, version) FROM schema_version AS one
"""


def steps() -> list[bytes]:
    """The statements that lead from each version to the next, from nothing to version 1 first."""
    files = sorted(resources.files("eventstore").joinpath("migrations").iterdir(), key=lambda file: file.name)
    return [file.read_bytes() for file in files if file.name.endswith(".sql")]


def unusable(version: int, serves_from: int) -> str | None:
    """Why this program can't serve on a schema of `version` that serves programs from `serves_from` on; None if it can.

    A newer schema only adds to what a program knows, until a step says otherwise: so that during an upgrade the version
    before goes on serving.
    """
    if version < SCHEMA_VERSION:
        return f"the database has version {version}, this program needs {SCHEMA_VERSION}: run tixxety migrate"
    if serves_from > SCHEMA_VERSION:
        return f"the database serves programs from version {serves_from} on, and this one is of {SCHEMA_VERSION}"
    return None


async def why_unusable(connection: Connection) -> str | None:
    """The same of the schema that is there."""
    try:
        row = await (await connection.execute(VERSIONS)).fetchone()
    except UndefinedTable:
        row = None
    return unusable(*row) if row else "the database has no version: run tixxety migrate"
