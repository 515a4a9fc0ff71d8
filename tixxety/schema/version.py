"""Which version the schema in a database has, and whether this program can use it."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from eventstore.box_office import BoxOffice
from eventstore.errors import SchemaOutdated
from eventstore.postgres.connections import Connection
from eventstore.schema_version import SCHEMA_VERSION, VERSIONS
from tixxety.errors import WrongEncoding
from tixxety.processes.stop_signals import run
from tixxety.schema.database_roles import asks

HAS_VERSION = "SELECT to_regclass('schema_version') IS NOT NULL"
SEARCH_PATH = sql.SQL("SET search_path = {}")


def schema_version(box_office: BoxOffice | str) -> int | None:
    """The version of the schema that is in the database; None where there is none yet. Raises `WrongEncoding`."""
    found = schema_versions(box_office)
    return found[0] if found else None


def schema_versions(box_office: BoxOffice | str) -> tuple[int, int] | None:
    """The same, and the oldest version whose programs it serves."""
    return run(_schema_versions(BoxOffice.at(box_office)))


def version_of(row: tuple[Any, ...] | None) -> int:
    """The version in the table's only row; 0, which there never was, where somebody has deleted it."""
    return int(row[0]) if row else 0


def expect_utf8(encoding: str | None) -> None:
    """Raises WrongEncoding for any other: what people are called could not be kept there."""
    if encoding != "UTF8":
        raise WrongEncoding(
            f"The database's encoding is {encoding}, and Tixxety needs UTF8: make another one with "
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
        )


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


async def _schema_versions(box_office: BoxOffice) -> tuple[int, int] | None:
    async with await Connection.connect(box_office.url, autocommit=True, connect_timeout=5) as connection:
        expect_utf8(connection.info.parameter_status("server_encoding"))
        await connection.execute(SEARCH_PATH.format(sql.Identifier(box_office.history)))
        if not await asks(connection, HAS_VERSION):
            return None
        row = await (await connection.execute(VERSIONS)).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)
