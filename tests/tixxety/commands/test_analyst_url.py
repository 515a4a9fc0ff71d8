"""What an analyst's login can do: read the projections, and nothing else, whatever it tries."""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, LockNotAvailable, ReadOnlySqlTransaction

from eventstore.postgres.connections import connect
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from projections.projector.projector import FOLD_SETTINGS
from projections.schema import make_schema
from projections.tables.all_tables import TABLES
from tests.pages.example_queries import EXAMPLES
from tests.projections.histories import BoxOffice, append
from tests.projections.sold import fill
from tests.tixxety.forked import run_command as tixxety
from tixxety.commands.analyst_url import CONNECTIONS, hand_out, login_of, take_back, unbounded
from tixxety.schema.migration import migrate

ELSEWHERE = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'tixxety' AND c.relkind IN ('r', 'v')
"""
FUNCTIONS = """
SELECT format('SELECT tixxety.%I(%s)', proname, repeat('NULL, ', pronargs - 1) || 'NULL') FROM pg_proc
WHERE pronamespace = 'tixxety'::regnamespace AND pronargs > 0
"""
CHANGES = (
    "INSERT INTO {} (position) VALUES (1)",
    "DELETE FROM {}",
    "TRUNCATE {}",
    "ALTER TABLE {} ADD x integer",
    "DROP TABLE {}",
    "CREATE INDEX ON {} ((1))",
)
CREATIONS = (
    "CREATE TABLE mine (x integer)",
    "CREATE TABLE public.mine (x integer)",
    "CREATE TEMPORARY TABLE mine (x integer)",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "COPY checkpoint TO PROGRAM 'true'",
    "SELECT pg_logical_emit_message(false, 'much', 'x')",
    "SET temp_file_limit = -1",
)
ADVISORY = ("SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock(1, 2)", "SELECT pg_advisory_xact_lock_shared(1)")
LOCKS = (
    "LOCK TABLE {} IN ROW SHARE MODE",
    "LOCK TABLE {} IN ROW EXCLUSIVE MODE",
    "LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE",
    "LOCK TABLE {} IN SHARE MODE",
    "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
    "SELECT * FROM {} FOR KEY SHARE",
    "SELECT * FROM {} FOR UPDATE",
)
NO_LIMITS = """
SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;
SET default_transaction_read_only = off
"""
RELATIONS = [*(table.name for table in TABLES), "checkpoint"]


@pytest.fixture
def name(database_url: str) -> Iterator[str]:
    """An analyst's name that nobody else has on this server; the login is gone afterwards."""
    name = f"ann_{uuid4().hex}"
    yield name
    with psycopg.connect(database_url, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (login_of(name),)).fetchone() is not None:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(login_of(name))))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(login_of(name))))


@pytest.fixture
def url(database_url: str, name: str) -> str:
    return hand_out(database_url, name)


@pytest.fixture
def analyst(url: str) -> Iterator[psycopg.Connection]:
    """An analyst who has lifted all limits that can be lifted."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(NO_LIMITS)
        yield connection


def on(statement: str, table: str) -> sql.Composed:
    return sql.SQL(statement).format(*[sql.Identifier(table)] * statement.count("{}"))


async def test_every_table_and_view_is_there_to_read(database_url: str, url: str) -> None:
    await fill(database_url, BoxOffice(3).commands(600))
    with psycopg.connect(url, autocommit=True) as connection:
        for example in EXAMPLES.values():
            assert connection.execute(example.query.encode()).fetchall(), example.question


def test_nothing_beside_the_projections_can_be_read(database_url: str, analyst: psycopg.Connection) -> None:
    with psycopg.connect(database_url) as owner:
        tables = owner.execute(ELSEWHERE).fetchall()
        calls = [call for (call,) in owner.execute(FUNCTIONS).fetchall()]
    assert ("tixxety", "accounts") in tables
    assert calls
    asked = [sql.SQL("SELECT * FROM {}").format(sql.Identifier(*table)) for table in tables]
    for question in (*asked, *calls):
        with pytest.raises(InsufficientPrivilege):
            analyst.execute(question)


def test_nothing_can_be_written_or_made(database_url: str, analyst: psycopg.Connection) -> None:
    migrate(database_url)  # a copied database has not the template's own rights
    tried = [on(change, table) for change in CHANGES for table in RELATIONS]
    updates = [on("UPDATE {} SET position = 1", table) for table in RELATIONS]
    for statement in (*tried, *updates, *CREATIONS):
        with pytest.raises(InsufficientPrivilege):
            analyst.execute(statement)


def test_no_advisory_lock_can_be_taken(analyst: psycopg.Connection) -> None:
    for lock in ADVISORY:
        with pytest.raises(InsufficientPrivilege):
            analyst.execute(lock)


async def test_whatever_an_analyst_holds_folding_goes_on(database_url: str, analyst: psycopg.Connection) -> None:
    office = BoxOffice(1)
    await fill(database_url, office.commands(50))
    with analyst.transaction():
        analyst.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        before = [analyst.execute(on("SELECT * FROM {} ORDER BY position", table)).fetchall() for table in RELATIONS]
        for table in RELATIONS:
            analyst.execute(on("LOCK TABLE {} IN ACCESS SHARE MODE", table))
            for lock in LOCKS:
                with pytest.raises(InsufficientPrivilege), analyst.transaction():
                    analyst.execute(on(lock, table))
        async with await connect(database_url, **FOLD_SETTINGS | {"lock_timeout": "50ms"}) as connection:
            last = await append(connection, office.commands(200))
            batches = Batches(connection, await checkpoint.read(connection))
            try:
                while await batches.fold_next(20):
                    pass
            except LockNotAvailable as error:
                pytest.fail(str(error))
            assert batches.position == last
        after = [analyst.execute(on("SELECT * FROM {} ORDER BY position", table)).fetchall() for table in RELATIONS]
    assert before == after
    assert analyst.execute("SELECT lag_domain_events FROM freshness").fetchone() == (0,)


def test_a_slip_is_stopped_by_the_logins_limits(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        settings = ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout", "search_path")
        shown = [connection.execute(f"SHOW {setting}").fetchone() for setting in settings]
        assert shown == [("1min",), ("1min",), ("5s",), ("projections",)]
        with pytest.raises(ReadOnlySqlTransaction):
            connection.execute("CREATE TEMPORARY TABLE mine (x integer)")


def test_temporary_files_are_limited_by_a_setting_that_the_login_can_not_lift(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("SHOW temp_file_limit").fetchone() == ("1GB",)


def test_what_nobody_has_forbidden_is_told(database_url: str, name: str, url: str, empty_database_url: str) -> None:
    assert urlsplit(empty_database_url).path[1:] in "".join(unbounded(database_url, name))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} RESET temp_file_limit").format(sql.Identifier(login_of(name))))
    assert "SET temp_file_limit" in unbounded(database_url, name)[0]


def test_a_login_of_one_box_office_does_not_reach_another_on_the_same_server(
    database_url: str, empty_database_url: str, name: str, url: str
) -> None:
    migrate(database_url)
    migrate(empty_database_url)
    elsewhere = urlunsplit(urlsplit(url)._replace(path=urlsplit(empty_database_url).path))
    psycopg.connect(url).close()
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(elsewhere)
    both = hand_out(empty_database_url, name)
    assert take_back(database_url, name) is False
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(urlunsplit(urlsplit(both)._replace(path=urlsplit(url).path)))
    psycopg.connect(both).close()
    assert take_back(empty_database_url, name) is True


def test_a_login_has_so_many_connections_and_no_more(url: str) -> None:
    connections = [psycopg.connect(url) for _ in range(CONNECTIONS)]
    with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
        psycopg.connect(url)
    for connection in connections:
        connection.close()


async def test_tables_that_are_made_anew_are_there_to_read_as_well(
    database_url: str, analyst: psycopg.Connection
) -> None:
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    live, fresh, old = map(sql.Identifier, ("projections", "fresh", "old"))
    async with await connect(database_url) as owner:
        await owner.execute("RESET ROLE")
        async with owner.transaction():
            await make_schema.make(owner, "fresh")
            await owner.execute(rename.format(live, old))
            await owner.execute(rename.format(fresh, live))
            await owner.execute(sql.SQL("CREATE TABLE {} (x integer)").format(sql.Identifier("projections", "new")))
    for relation in (*EXAMPLES, "new"):
        analyst.execute(on("SELECT * FROM {}", relation))


def test_a_new_password_ends_the_old_one(database_url: str, name: str, url: str) -> None:
    again = hand_out(database_url, name)
    assert urlsplit(again).username == urlsplit(url).username
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)
    psycopg.connect(again).close()


def test_a_login_that_is_taken_back_reads_nothing_any_more(
    database_url: str, name: str, url: str, analyst: psycopg.Connection
) -> None:
    assert analyst.execute("SELECT position FROM checkpoint").fetchone() == (0,)
    take_back(database_url, name)
    with pytest.raises(psycopg.ProgrammingError):
        analyst.execute("SELECT position FROM checkpoint")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_the_command_prints_a_connection_string_and_nothing_else(database_url: str, name: str) -> None:
    made = tixxety("analyst-url", name, DATABASE_URL=database_url)
    assert (made.returncode, len(made.stdout.splitlines())) == (0, 1), made.stderr
    with psycopg.connect(made.stdout.strip()) as connection:
        assert connection.execute("SELECT position FROM freshness").fetchone() == (0,)
    revoked = tixxety("analyst-url", name, "--revoke", DATABASE_URL=database_url)
    assert (revoked.returncode, revoked.stdout) == (0, "")


def test_what_can_not_be_done_is_one_sentence(database_url: str) -> None:
    for arguments, said in ((["Ann; --"], "lower-case letters"), (["nobody", "--revoke"], "There is no login")):
        refused = tixxety("analyst-url", *arguments, DATABASE_URL=database_url)
        assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (2, "", 1), refused.stderr
        assert said in refused.stderr
