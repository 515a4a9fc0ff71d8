"""Which version the schema in a database has, and whether this program can use it."""

from psycopg import sql

from eventstore import schema_version
from eventstore.box_office import BoxOffice
from eventstore.errors import SchemaOutdated
from eventstore.postgres.connections import Connection
from tixxety.errors import WrongEncoding
from tixxety.processes.stop_signals import run

SEARCH_PATH = sql.SQL("SET search_path = {}")


def schema_versions(box_office: BoxOffice | str) -> tuple[int, int] | None:
    """The version of the schema that is in the database, and the oldest whose programs it serves.

    None where there is no schema yet. Raises `WrongEncoding`.
    """
    return run(_schema_versions(BoxOffice.at(box_office)))


def expect_utf8(encoding: str | None) -> None:
    """Raises WrongEncoding for any other: what people are called could not be kept there."""
    if encoding != "UTF8":
        raise WrongEncoding(
            f"The database's encoding is {encoding}, and Tixxety needs UTF8: make another one with "
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
        )


def expect_this_version(version: int, serves_from: int) -> None:
    """Raises SchemaOutdated on an older schema, which `tixxety migrate` brings up to date, and on one it can't know."""
    if why := schema_version.unusable(version, serves_from):
        raise SchemaOutdated(f"{why[0].upper()}{why[1:]}.")


async def _schema_versions(box_office: BoxOffice) -> tuple[int, int] | None:
    async with await Connection.connect(box_office.url, autocommit=True, connect_timeout=5) as connection:
        expect_utf8(connection.info.parameter_status("server_encoding"))
        await connection.execute(SEARCH_PATH.format(sql.Identifier(box_office.history)))
        return await schema_version.read(connection)
