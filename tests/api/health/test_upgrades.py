"""A rolling upgrade: a version is ready while it can serve beside the next, the next one as soon as it can."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import psycopg
import pytest

from eventstore import schema_version
from eventstore.errors import SchemaOutdated
from eventstore.schema_version import SCHEMA_VERSION
from projections.schema import needed_columns
from tests.api.health.test_health import readiness
from tixxety.schema.version import expect_this_version, schema_versions

ADD_SERVES_FROM = "ALTER TABLE schema_version ADD COLUMN IF NOT EXISTS serves_from integer NOT NULL DEFAULT 2"
VERSIONS = "UPDATE schema_version SET version = %s, serves_from = %s"
OURS, NEXT, AFTER_NEXT = SCHEMA_VERSION, SCHEMA_VERSION + 1, SCHEMA_VERSION + 2


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Whoever migrates and rebuilds."""
    options = "-c search_path=tixxety,projections"
    with psycopg.connect(database_url, autocommit=True, options=options) as connection:
        yield connection


async def problem(client: httpx2.AsyncClient, name: str) -> str | None:
    _, body = await readiness(client)
    told: str | None = body["checks"][name]["problem"]
    return told


@pytest.mark.parametrize(
    ("version", "serves_from", "said"),
    [
        (OURS, OURS, None),
        (NEXT, OURS, None),
        (AFTER_NEXT, OURS, None),
        (NEXT, NEXT, f"made by version {NEXT}; this program knows {OURS}"),
        (OURS - 1, OURS - 1, "run tixxety migrate"),
    ],
)
async def test_a_schema_is_good_for_the_programs_that_it_serves(
    client: httpx2.AsyncClient,
    owner: psycopg.Connection[Any],
    database_url: str,
    version: int,
    serves_from: int,
    said: str | None,
) -> None:
    owner.execute(ADD_SERVES_FROM)
    owner.execute(VERSIONS, (version, serves_from))
    told = await problem(client, "schema")
    assert told is None if said is None else said in str(told)
    assert await asyncio.to_thread(schema_versions, database_url) == (version, serves_from)
    if said is None:
        expect_this_version(version, serves_from)
    else:
        with pytest.raises(SchemaOutdated):
            expect_this_version(version, serves_from)


async def test_a_schema_that_says_nothing_serves_its_own_version(
    client: httpx2.AsyncClient, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("ALTER TABLE schema_version DROP COLUMN IF EXISTS serves_from")
    assert await problem(client, "schema") is None
    owner.execute("UPDATE schema_version SET version = version + 1")
    assert "made by version" in str(await problem(client, "schema"))
    owner.execute("DROP TABLE schema_version")
    assert "run tixxety migrate" in str(await problem(client, "schema"))


@pytest.mark.parametrize("definitions", [-1, 1])
async def test_tables_of_another_version_serve_as_long_as_nothing_is_missing(
    client: httpx2.AsyncClient, owner: psycopg.Connection[Any], definitions: int
) -> None:
    owner.execute("UPDATE checkpoint SET definitions_version = definitions_version + %s", (definitions,))
    owner.execute("ALTER TABLE events ADD COLUMN of_the_next_version text")
    assert await problem(client, "projections") is None
    owner.execute("ALTER TABLE ticket_types RENAME COLUMN place TO ordinal")
    assert "without ticket_types.place" in str(await problem(client, "projections"))
    owner.execute("DROP TABLE sales_by_minute CASCADE")
    assert "without sales_by_minute." in str(await problem(client, "projections"))


async def test_through_a_whole_upgrade_one_version_is_always_ready(
    monkeypatch: pytest.MonkeyPatch, client: httpx2.AsyncClient, owner: psycopg.Connection[Any]
) -> None:
    """The older one is ours; the newer one reads a column more, and needs a schema one higher."""
    newer = {**needed_columns.READ, "events": (*needed_columns.READ["events"], "of_the_next_version")}
    owner.execute(ADD_SERVES_FROM)

    async def both() -> tuple[bool, bool]:
        ready = []
        for version, read in ((OURS, needed_columns.READ), (NEXT, newer)):
            with monkeypatch.context() as patched:
                patched.setattr(schema_version, "SCHEMA_VERSION", version)
                patched.setattr(needed_columns, "READ", read)
                _, body = await readiness(client)
            ready.append(all(body["checks"].get(name, {"ok": False})["ok"] for name in ("schema", "projections")))
        return ready[0], ready[1]

    assert await both() == (True, False)
    owner.execute(VERSIONS, (NEXT, OURS))
    assert await both() == (True, False)
    owner.execute("ALTER TABLE events ADD COLUMN of_the_next_version text")
    owner.execute("UPDATE checkpoint SET definitions_version = definitions_version + 1")
    assert await both() == (True, True)
    owner.execute(VERSIONS, (NEXT, NEXT))
    assert await both() == (False, True)
