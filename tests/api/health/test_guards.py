"""Readiness tells how the history is kept from being changed as the database has it, not as it should be."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx2
import psycopg
import pytest
from psycopg import sql

from api.app import ApiConfig
from eventstore.append_only_status import APPEND_ONLY
from tests.api.conftest import application
from tests.api.health.test_health import readiness


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True, options="-c search_path=tixxety") as connection:
        yield connection


@pytest.fixture
def reader_url(owner: psycopg.Connection[Any], database_url: str) -> Iterator[str]:
    """The database's URL for a login that may read everything, and can't take the role for serving."""
    name = sql.Identifier(login := f"reader_{uuid4().hex}")
    owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(name))
    owner.execute(sql.SQL("GRANT USAGE ON SCHEMA tixxety, projections TO {}").format(name))
    owner.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA tixxety, projections TO {}").format(name))
    host = urlsplit(database_url).netloc.rpartition("@")[2]
    yield urlunsplit(urlsplit(database_url)._replace(netloc=f"{login}:x@{host}"))
    owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(name))


@asynccontextmanager
async def serving(config: ApiConfig, url: str) -> AsyncIterator[httpx2.AsyncClient]:
    app = application(replace(config, box_office=url))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://box-office") as client,
    ):
        yield client


async def told(client: httpx2.AsyncClient) -> tuple[bool, str]:
    """Whether the check is green, and what is said of the guards."""
    _, body = await readiness(client)
    return body["checks"]["append_only"]["ok"], body["append_only"]


async def test_privileges_and_trigger(client: httpx2.AsyncClient) -> None:
    assert await told(client) == (True, "privileges and trigger")


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_a_trigger_that_is_off_is_told(
    client: httpx2.AsyncClient, owner: psycopg.Connection[Any], table: str
) -> None:
    name = sql.Identifier(table)
    for off in ("DISABLE TRIGGER append_only", "ENABLE REPLICA TRIGGER append_only"):
        owner.execute(sql.SQL("ALTER TABLE {} ").format(name) + sql.SQL(off))
        ok, said = await told(client)
        assert (ok, said.startswith("privileges alone"), table in said) == (True, True, True)
    owner.execute(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER append_only").format(name))
    assert await told(client) == (True, "privileges and trigger")


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("right", ["UPDATE", "DELETE", "TRUNCATE", "UPDATE (request_id)"])
async def test_a_right_too_many_is_told_and_without_a_trigger_not_ready(
    client: httpx2.AsyncClient, owner: psycopg.Connection[Any], table: str, right: str
) -> None:
    right = right if table == "audit_reads" else right.partition(" ")[0]
    owner.execute(sql.SQL("GRANT {} ON {} TO tixxety_app").format(sql.SQL(right), sql.Identifier(table)))
    ok, said = await told(client)
    assert (ok, said.startswith("trigger alone")) == (True, True)
    owner.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER append_only").format(sql.Identifier(table)))
    assert await told(client) == (False, f"nothing, of {table}")


async def test_a_trigger_that_lets_something_through_is_none(
    client: httpx2.AsyncClient, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("DROP TRIGGER append_only ON seals")
    owner.execute("CREATE TRIGGER append_only BEFORE UPDATE ON seals EXECUTE FUNCTION refuse_change()")
    assert await told(client) == (True, "privileges alone: a trigger is missing or disabled, of seals")


async def test_a_login_with_few_rights_of_its_own_is_guarded_by_both(config: ApiConfig, reader_url: str) -> None:
    async with serving(config, reader_url) as client:
        assert await told(client) == (True, "privileges and trigger")
