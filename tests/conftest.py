"""A real PostgreSQL for every test that needs one: one server a run, one fresh migrated database a test."""

import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
import structlog
from psycopg import sql

from tixxety.embedded.server import EmbeddedPostgres
from tixxety.schema.migration import migrate

CONNECT_SECONDS = 30

# Before anybody imports it.
pytest.register_assert_rewrite("tests.box_office")

# With its variables and in a frame, a traceback takes seconds to draw.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from the modules and tests, among which it will never find any."""
    gc.collect()
    gc.freeze()


def execute(url: str, statement: sql.Composed) -> None:
    """Run one statement outside of a transaction."""
    with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
        connection.execute(statement)


@cache
def maintenance(server_url: str) -> psycopg.Connection:
    """The connection by which this process makes and drops databases: to make one each time costs 8 ms of processor."""
    return psycopg.connect(server_url, autocommit=True, connect_timeout=CONNECT_SECONDS)


@contextmanager
def fresh_database(server_url: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new database with what the template has, dropped with the block."""
    name = f"test_{uuid4().hex}"
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    maintenance(server_url).execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield with_database(server_url, name)
    finally:
        drop(server_url, name)


def drop(server_url: str, name: str) -> None:
    """Drop a database, and whoever is still connected to it.

    A connection whose making was cancelled is closed when it is collected, and until then the server waits for it.
    """
    statement = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
    connection = maintenance(server_url)
    connection.execute("SET statement_timeout = '2s'")
    try:
        connection.execute(statement)
    except psycopg.errors.QueryCanceled:
        gc.collect()
        connection.execute("SET statement_timeout = 0")
        connection.execute(statement)
    finally:
        connection.execute("SET statement_timeout = 0")


def without_parameters(url: str) -> str:
    """The URL, to which a test may add parameters of its own."""
    return urlsplit(url)._replace(query="").geturl()


def with_database(url: str, name: str) -> str:
    """The same server's URL, with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A superuser's URL of a server that the tests may do anything with."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="tixxety-test-") as home:
        server = EmbeddedPostgres(Path(home), durable=False)
        try:
            yield without_parameters(server.start())
        finally:
            server.discard()


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a migrated database that nobody is connected to."""
    with fresh_database(server_url) as url:
        migrate(url)
        yield urlsplit(url).path[1:]


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """A fresh database with both schemas, for one test."""
    with fresh_database(server_url, template) as url:
        yield url


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A database that was never migrated, for one test."""
    with fresh_database(server_url) as url:
        yield url


@contextmanager
def new_home() -> Iterator[Path]:
    """A home for `up`, which is not there yet, where PostgreSQL's own account can enter it when root runs the tests.

    It can't enter pytest's own folders: what root keeps instead lies on the disk, and is slow to make.
    """
    with tempfile.TemporaryDirectory(prefix="tixxety-home-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "home"


@pytest.fixture
def home() -> Iterator[Path]:
    """The same for one test."""
    with new_home() as home:
        yield home
