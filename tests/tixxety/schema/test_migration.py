"""Both schemas are made in one step: repeatable, by many at once, and by logins that may do little."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, RestrictViolation

from eventstore.box_office import ANALYST_ROLE, BoxOffice
from eventstore.errors import SchemaOutdated
from eventstore.postgres.connections import APP_ROLE, WORKER_ROLE, Connection, connect
from eventstore.schema_version import SCHEMA_VERSION, steps
from eventstore.writing.group_commit import GroupCommit
from projections.exporting.table_export import KEYS
from tests import box_office
from tixxety.commands import analyst_url
from tixxety.schema.database_lockdown import ADVISORY_FUNCTIONS, OPEN_LOCKS, SILENT_STAYS
from tixxety.schema.migration import NO_ANALYSTS, NO_ROLE, migrate
from tixxety.schema.version import expect_this_version, schema_versions

TABLES = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('tixxety', 'projections') AND c.relkind IN ('r', 'v') ORDER BY 1
"""
ALL_TABLES = [
    *sorted((f"projections.{name}",) for name in ("checkpoint", *KEYS)),
    ("tixxety.accounts",),
    ("tixxety.api_keys",),
    ("tixxety.audit_reads",),
    ("tixxety.consumers",),
    ("tixxety.event_names",),
    ("tixxety.history",),
    ("tixxety.password_resets",),
    ("tixxety.refusals",),
    ("tixxety.refused_together",),
    ("tixxety.schema_version",),
    ("tixxety.seal_keys",),
    ("tixxety.seals",),
    ("tixxety.sessions",),
    ("tixxety.snapshots",),
    ("tixxety.stored_events",),
]
# The schema's version, and the oldest one whose programs go on beside it.
OURS = (SCHEMA_VERSION, 3)
RECORDED = """
INSERT INTO stored_events VALUES (gen_random_uuid(), 1, 'TicketsHeld', '{}', 1, 1)
"""
WITHOUT_COMMENT = """
SELECT n.nspname || '.' || c.relname || '.' || a.attname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname IN ('tixxety', 'projections') AND c.relkind IN ('r', 'v', 'm', 'p') AND a.attnum > 0
  AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)
UNION ALL
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('tixxety', 'projections') AND obj_description(p.oid, 'pg_proc') IS NULL
"""
ADVISORY = "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock(1, 2)", "SELECT pg_advisory_xact_lock_shared(1)"

MakeDatabase = Callable[[str], str]
MakeLogin = Callable[[str], str]


def run(url: str, *statements: sql.SQL | sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = tixxety, projections")
        return connection.execute(query).fetchall()


@pytest.fixture
def login(server_url: str) -> Iterator[MakeLogin]:
    """Makes a login with attributes such as CREATEROLE, and gives its name, which is its password as well."""
    names: list[str] = []

    def make(attributes: str) -> str:
        names.append(name := f"login_{uuid4().hex}")
        made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} " + attributes)
        run(server_url, made.format(sql.Identifier(name), sql.Literal(name)))
        return name

    yield make
    run(server_url, *(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)) for name in names))


@pytest.fixture
def database(server_url: str, login: MakeLogin) -> Iterator[MakeDatabase]:
    """Makes an empty database that belongs to a login, and gives the URL by which that login comes."""
    names: list[str] = []

    def make(owner: str) -> str:
        names.append(name := f"empty_{uuid4().hex}")
        run(server_url, sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner)))
        return as_login(server_url, owner, name)

    yield make
    run(server_url, *(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)) for name in names))


@pytest.fixture
def own_role(server_url: str, login: MakeLogin, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The API's role and the worker's have other names in this test, so that they are not there yet: gives the first.

    To be named before `database`.
    """
    names = [f"app_{uuid4().hex}", f"worker_{uuid4().hex}"]
    monkeypatch.setattr(BoxOffice, "roles", BoxOffice().roles | dict(zip((APP_ROLE, WORKER_ROLE), names, strict=True)))
    yield names[0]
    run(server_url, *(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)) for name in names))


@pytest.fixture
def own_analysts(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same for the role of the analysts."""
    name = f"analysts_{uuid4().hex}"
    monkeypatch.setattr(BoxOffice, "roles", BoxOffice().roles | {ANALYST_ROLE: name})
    yield name
    run(server_url, sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def as_login(url: str, login: str, database: str = "") -> str:
    """The URL by which a login comes to the same server."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(
        parts._replace(netloc=f"{login}:{login}@{place}", path=f"/{database}" if database else parts.path)
    )


def test_ten_at_once_on_one_empty_database(empty_database_url: str) -> None:
    with ThreadPoolExecutor(10) as ten:
        assert list(ten.map(migrate, [empty_database_url] * 10)) == [[]] * 10
    assert rows(empty_database_url, TABLES) == ALL_TABLES
    assert rows(empty_database_url, "SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]
    assert schema_versions(empty_database_url) == OURS


def test_four_databases_at_once(own_role: str, database: MakeDatabase, server_url: str) -> None:
    """Roles belong to the whole server, and all four make the same one."""
    owner = urlsplit(server_url).username or "postgres"
    names = [urlsplit(database(owner)).path for _ in range(4)]
    urls = [urlunsplit(urlsplit(server_url)._replace(path=name)) for name in names]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(migrate, urls * 2)) == [[]] * 8
    for url in urls:
        assert rows(url, TABLES) == ALL_TABLES
        asyncio.run(serves_as(url, own_role))


def test_a_role_that_another_makes_at_this_moment_is_waited_for(
    own_role: str, database: MakeDatabase, server_url: str
) -> None:
    name = urlsplit(database(urlsplit(server_url).username or "postgres")).path
    url = urlunsplit(urlsplit(server_url)._replace(path=name))
    waits = (
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE ROLE%%' AND wait_event_type = 'Lock' AND datname = %s"
    )
    with psycopg.connect(server_url) as other, ThreadPoolExecutor(1) as thread:
        other.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(own_role)))
        migrating = thread.submit(migrate, url)
        with psycopg.connect(server_url, autocommit=True) as looking:
            while not looking.execute(waits, (name.removeprefix("/"),)).fetchone():
                assert not migrating.done()
        other.commit()
        assert migrating.result() == []


def test_again_changes_nothing(empty_database_url: str) -> None:
    migrate(empty_database_url)
    before = rows(empty_database_url, TABLES), rows(empty_database_url, "SELECT generation FROM checkpoint")
    assert migrate(empty_database_url) == []
    assert (rows(empty_database_url, TABLES), rows(empty_database_url, "SELECT generation FROM checkpoint")) == before


def test_every_table_view_column_and_function_has_a_comment(database_url: str) -> None:
    assert rows(database_url, WITHOUT_COMMENT) == []


def test_an_empty_database_has_no_version(empty_database_url: str) -> None:
    assert schema_versions(empty_database_url) is None
    migrate(empty_database_url)
    assert schema_versions(empty_database_url) == OURS


@pytest.mark.parametrize("change", ["UPDATE {} SET version = version + 1", "DELETE FROM {}"])
def test_a_schema_of_another_version_is_refused_and_left_alone(empty_database_url: str, change: str) -> None:
    migrate(empty_database_url)
    run(empty_database_url, sql.SQL(change).format(sql.Identifier("tixxety", "schema_version")))
    before = schema_versions(empty_database_url) or OURS
    with pytest.raises(SchemaOutdated, match=f"made by version {before[0]}; this program knows {SCHEMA_VERSION}"):
        migrate(empty_database_url)
    assert schema_versions(empty_database_url) == before != OURS


@pytest.mark.parametrize("version", [1, 3, 4])
def test_a_box_office_of_an_older_version_goes_on_with_its_history(empty_database_url: str, version: int) -> None:
    run(empty_database_url, sql.SQL("CREATE SCHEMA tixxety"))
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("SET search_path = tixxety")
        for step in steps()[:version]:
            connection.execute(step)
        connection.execute("INSERT INTO schema_version (version) VALUES (%s)", (version,))
        connection.execute(RECORDED)
    before = rows(empty_database_url, "SELECT * FROM stored_events")
    with pytest.raises(SchemaOutdated, match="run tixxety migrate"):
        expect_this_version(version, version)
    with ThreadPoolExecutor(4) as four:
        assert list(four.map(migrate, [empty_database_url] * 4)) == [[]] * 4
    assert rows(empty_database_url, TABLES) == ALL_TABLES
    assert schema_versions(empty_database_url) == OURS
    assert len(steps()) == SCHEMA_VERSION
    assert rows(empty_database_url, "SELECT * FROM stored_events") == before
    assert len(rows(empty_database_url, "SELECT * FROM seal_keys")) == 1


async def sell(database_url: str) -> None:
    """A whole purchase, as the serving processes do it."""
    async with await connect(database_url) as connection, GroupCommit(database_url) as commands:
        organiser, buyer = await box_office.register(connection, 2)
        event = box_office.create(organiser)
        wish = box_office.reserve(event.event_id, buyer)
        for command in (event, wish, box_office.pay(wish)):
            await commands.submit(command)
        assert len((await box_office.judged_history(connection)).records) == 5


def test_a_login_that_may_create_no_role_is_told_and_has_a_working_system(
    login: MakeLogin, database: MakeDatabase
) -> None:
    url = database(login("NOCREATEROLE"))
    for _ in range(2):
        assert migrate(url) == told(NO_ROLE, OPEN_LOCKS)
    assert schema_versions(url) == OURS
    asyncio.run(sell(url))
    for change in ("UPDATE stored_events SET topic = 'x'", "DELETE FROM stored_events", "TRUNCATE stored_events"):
        with pytest.raises(RestrictViolation):
            rows(url, change)


def test_a_login_that_may_create_the_role_serves_in_it(own_role: str, login: MakeLogin, database: MakeDatabase) -> None:
    """From PostgreSQL 16 on, who creates a role may grant it but is not in it."""
    url = database(login("CREATEROLE"))
    for _ in range(2):
        assert migrate(url) == told(OPEN_LOCKS)
    asyncio.run(serves_as(url, own_role))
    asyncio.run(sell(url))


def test_a_login_that_may_not_create_the_role_of_the_analysts_is_told(
    own_analysts: str, login: MakeLogin, database: MakeDatabase
) -> None:
    url = database(login("NOCREATEROLE"))
    assert migrate(url) == told(NO_ROLE, NO_ANALYSTS, OPEN_LOCKS)
    with pytest.raises(analyst_url.NoLogin, match=f"no role {own_analysts} yet: run tixxety migrate"):
        analyst_url.hand_out(url, "ann")


def test_a_login_that_may_create_roles_hands_out_logins_to_analysts(
    own_role: str, own_analysts: str, login: MakeLogin, database: MakeDatabase, server_url: str
) -> None:
    url = database(login("CREATEROLE"))
    assert migrate(url) == told(OPEN_LOCKS)
    for _ in range(2):
        assert rows(analyst_url.hand_out(url, "ann"), "SELECT position FROM freshness") == [(0,)]
    other = login("NOCREATEROLE")
    run(server_url, sql.SQL("GRANT {} TO {}").format(sql.Identifier(own_role), sql.Identifier(other)))
    with pytest.raises(analyst_url.NoLogin, match="may not make, change or drop the role"):
        analyst_url.hand_out(as_login(url, other, urlsplit(url).path[1:]), "ben")
    analyst_url.take_back(url, "ann")
    assert own_role in [name for (name,) in rows(server_url, "SELECT rolname FROM pg_roles")]


def test_a_login_whose_silent_sessions_nobody_may_end_is_told(
    own_role: str, login: MakeLogin, database: MakeDatabase, server_url: str
) -> None:
    owner, serving = login("CREATEROLE"), login("NOCREATEROLE")
    url = database(owner)
    assert migrate(url) == told(OPEN_LOCKS)
    run(server_url, sql.SQL("GRANT {} TO {}").format(sql.Identifier(own_role), sql.Identifier(serving)))
    assert migrate(url) == [*told(OPEN_LOCKS), SILENT_STAYS.format(login=serving)]
    run(server_url, sql.SQL("GRANT pg_signal_backend, pg_read_all_stats TO {}").format(sql.Identifier(owner)))
    assert migrate(url) == told(OPEN_LOCKS)


def test_locks_that_a_superuser_has_taken_away_are_complained_of_no_more(
    own_role: str, login: MakeLogin, database: MakeDatabase, server_url: str
) -> None:
    url = database(login("CREATEROLE"))
    assert migrate(url) == told(OPEN_LOCKS)
    as_superuser = urlunsplit(urlsplit(server_url)._replace(path=urlsplit(url).path))
    for (function,) in rows(as_superuser, ADVISORY_FUNCTIONS):
        names = sql.SQL(str(function)), sql.Identifier(own_role)
        run(as_superuser, sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(names[0]))
        run(as_superuser, sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(*names))
    assert migrate(url) == []
    asyncio.run(sell(url))


def test_a_login_in_the_role_serves_what_another_has_made(login: MakeLogin, database_url: str, server_url: str) -> None:
    name = login("")
    run(server_url, sql.SQL("GRANT {} TO {}").format(sql.Identifier(BoxOffice().roles[APP_ROLE]), sql.Identifier(name)))
    url = as_login(database_url, name)
    assert schema_versions(url) == OURS
    asyncio.run(sell(url))
    asyncio.run(serves_as(url, BoxOffice().roles[APP_ROLE]))


def told(*notes: str) -> list[str]:
    """The notes with the names that the roles have now."""
    return [note.format(**BoxOffice().roles) for note in notes]


async def serves_as(database_url: str, role: str) -> None:
    async with await connect(database_url) as connection:
        assert await box_office.only(connection, "SELECT current_user") == role


@pytest.fixture
async def stranger(database_url: str, login: MakeLogin) -> AsyncIterator[Connection]:
    """Somebody who may log in, and nothing else."""
    connection = await psycopg.AsyncConnection.connect(as_login(database_url, login("")), autocommit=True)
    async with connection:
        yield connection


async def test_a_login_without_grants_cannot_stop_sales_by_a_lock(stranger: Connection) -> None:
    for lock in ADVISORY:
        with pytest.raises(InsufficientPrivilege):
            await stranger.execute(lock)


async def test_a_login_without_grants_reads_nothing(stranger: Connection) -> None:
    for (table,) in ALL_TABLES:
        with pytest.raises(InsufficientPrivilege):
            await stranger.execute(f"SELECT * FROM {table}")


@pytest.mark.parametrize("role", [APP_ROLE, WORKER_ROLE])
async def test_both_roles_may_take_locks(database_url: str, role: str) -> None:
    async with await connect(database_url, role=role) as connection:
        assert await box_office.only(connection, "SELECT current_user") == f"tixxety_{role}"
        for lock in ADVISORY:
            await connection.execute(lock)


def test_names_are_made_again_where_they_are_missing(database_url: str) -> None:
    asyncio.run(sell(database_url))
    names = rows(database_url, "SELECT * FROM event_names")
    assert len(names) == 1
    run(database_url, sql.SQL("DELETE FROM tixxety.event_names"))
    assert migrate(database_url) == []
    assert rows(database_url, "SELECT * FROM event_names") == names


def test_a_database_that_is_away_is_an_error_of_the_database(database_url: str) -> None:
    missing = urlunsplit(urlsplit(database_url)._replace(path="/there_is_none"))
    for ask in (migrate, schema_versions):
        with pytest.raises(psycopg.OperationalError):
            ask(missing)
