"""The versions of the history's schema: one file of statements each, run in order and once."""

from importlib import resources

from psycopg.errors import UndefinedTable

from eventstore.postgres.connections import Connection

# Raised with every change of what `tixxety migrate` makes.
SCHEMA_VERSION = 8

# `serves_from` is younger than the table: until then a schema serves the programs of its own version.
VERSIONS = """
SELECT version, coalesce((to_jsonb(one) ->> 'serves_from')::integer, version) FROM schema_version AS one
"""


def steps() -> list[bytes]:
    """The statements that lead from each version to the next, from nothing to version 1 first."""
    files = sorted(resources.files("eventstore").joinpath("migrations").iterdir(), key=lambda file: file.name)
    return [file.read_bytes() for file in files if file.name.endswith(".sql")]


async def read(connection: Connection) -> tuple[int, int] | None:
    """The version of the schema that is there, and the oldest whose programs it serves; None before there is any.

    Zeros, which there never were, where somebody has deleted the table's only row.
    """
    try:
        row = await (await connection.execute(VERSIONS)).fetchone()
    except UndefinedTable:
        return None
    return (int(row[0]), int(row[1])) if row else (0, 0)


def unusable(version: int, serves_from: int) -> str | None:
    """Why this program can't serve on a schema of `version` that serves programs from `serves_from` on; None if it can.

    A newer schema only adds to what a program knows, until a step says otherwise: so that during an upgrade the version
    before goes on serving.
    """
    if 1 <= version < SCHEMA_VERSION:
        return f"the schema has version {version}; this program needs {SCHEMA_VERSION}: run tixxety migrate"
    if not serves_from <= SCHEMA_VERSION <= version:
        return f"the schema was made by version {version}; this program knows {SCHEMA_VERSION}"
    return None


async def why_unusable(connection: Connection) -> str | None:
    """The same of the schema that is there."""
    versions = await read(connection)
    return unusable(*versions) if versions else "the database has no schema yet: run tixxety migrate"
