"""API and worker each have the rights that they need, and no others; an older version keeps its own while it runs."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from domain.errors import EventExists
from eventstore import snapshots
from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import APP_ROLE, WORKER_ROLE, connect
from eventstore.schema_version import steps
from eventstore.writing.group_commit import GroupCommit
from tests import box_office
from tests.tixxety.forked import run_command as tixxety
from tests.tixxety.schema.test_migration import (
    MakeDatabase,
    MakeLogin,
    as_login,
    database,
    login,
    own_analysts,
    own_role,
    run,
)
from tixxety.errors import Failure
from tixxety.schema.migration import migrate
from tixxety.schema.rights import FUNCTION_RIGHTS, HISTORY_RIGHTS, expect_worker_rights
from workers import main as worker_process
from workers.periodic_jobs import RefusalRetention, Sealing, Snapshots

__all__ = ["database", "login", "own_analysts", "own_role"]

TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'tixxety'::regnamespace AND relkind IN ('r', 'v', 'm', 'p')"
FUNCTIONS = "SELECT proname FROM pg_proc WHERE pronamespace = 'tixxety'::regnamespace"
NOT_FOR_THE_API = (
    "SELECT private_key FROM seal_keys",
    "SELECT * FROM seal_keys",
    "SELECT password_hash FROM accounts",
    "SELECT * FROM accounts",
    "UPDATE accounts SET roles = '{admin}'",
    "UPDATE accounts SET password_hash = 'x'",
    "UPDATE accounts SET account_id = gen_random_uuid()",
    "UPDATE sessions SET account_id = gen_random_uuid()",
    "UPDATE sessions SET expires_at = 'infinity'",
    "UPDATE api_keys SET scopes = '{audit}'",
    "SELECT * FROM password_resets",
    "INSERT INTO password_resets SELECT 'x', gen_random_uuid(), 'infinity'",
    "INSERT INTO accounts (account_id, email, password_hash, name, roles) SELECT gen_random_uuid(), '', '', '', '{}'",
    "INSERT INTO seals SELECT * FROM seals",
    "DELETE FROM refused_together",
    "UPDATE snapshots SET state = ''",
    "INSERT INTO snapshots SELECT * FROM snapshots",
    "UPDATE checkpoint SET position = 0",
    "DELETE FROM events",
    "DELETE FROM audit_reads",
    "UPDATE consumers SET position = 0",
    "CREATE TABLE projections.mine (x int)",
)
NOT_FOR_THE_WORKER = (
    "SELECT email FROM accounts",
    "SELECT password_hash FROM accounts",
    "SELECT * FROM credentials('ann@example.org')",
    "DELETE FROM accounts",
    "SELECT account_id FROM sessions",
    "SELECT key_hash FROM api_keys",
    "SELECT * FROM password_resets",
    "SELECT hold_password(gen_random_uuid(), 'x', null)",
    "SELECT change_password(gen_random_uuid(), 'x', 'x', null)",
    "SELECT password_reset_email('x')",
    "SELECT reset_password('x', 'x')",
    "INSERT INTO accounts (account_id, email, password_hash, name) VALUES (gen_random_uuid(), 'x', 'x', 'x')",
    "UPDATE accounts SET roles = '{admin}'",
    "UPDATE seal_keys SET private_key = private_key",
    "DELETE FROM event_names",
    "SELECT * FROM audit_reads",
    "DELETE FROM consumers",
    "DELETE FROM seals",
    "DELETE FROM stored_events",
    "UPDATE schema_version SET version = 1",
    "CREATE TABLE projections.mine (x int)",
)
DONE_BY_THE_WORKER = (
    "SELECT count(*) > 0 FROM stored_events WHERE topic = 'ReservationExpired'",
    "SELECT count(*) > 0 FROM reservations WHERE status = 'expired'",
    "SELECT count(*) > 0 FROM seals",
    "SELECT count(*) > 0 FROM snapshots",
)
OF_VERSION_2 = """
GRANT USAGE ON SCHEMA tixxety TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tixxety TO {role};
INSERT INTO schema_version (version) VALUES (2)
"""
MAY = """
SELECT has_table_privilege(%s, 'tixxety.seals', 'INSERT'),
       has_column_privilege(%s, 'tixxety.accounts', 'roles', 'UPDATE')
"""


def test_every_table_and_function_has_its_rights_written_down(database_url: str) -> None:
    with psycopg.connect(database_url) as owner:
        assert {name for (name,) in owner.execute(TABLES).fetchall()} == set(HISTORY_RIGHTS)
        assert {name for (name,) in owner.execute(FUNCTIONS).fetchall()} == set(FUNCTION_RIGHTS)


@pytest.mark.parametrize(("role", "tried"), [(APP_ROLE, NOT_FOR_THE_API), (WORKER_ROLE, NOT_FOR_THE_WORKER)])
async def test_neither_role_may_do_what_is_not_its_own(database_url: str, role: str, tried: tuple[str, ...]) -> None:
    async with await connect(database_url, role=role) as connection:
        for statement in tried:
            with pytest.raises(InsufficientPrivilege):
                await connection.execute(statement)


async def test_a_password_is_checked_one_account_at_a_time(database_url: str) -> None:
    async with await connect(database_url) as connection:
        for name in ("ann", "ben"):
            await connection.execute(
                "INSERT INTO accounts (account_id, email, password_hash, name) VALUES (gen_random_uuid(), %s, %s, 'x')",
                (f"{name}@example.org", f"hash of {name}"),
            )
        rows = await connection.execute("SELECT password_hash, roles FROM credentials('ann@example.org')")
        assert await rows.fetchall() == [("hash of ann", [])]
        assert await (await connection.execute("SELECT FROM credentials('%')")).fetchall() == []


def test_roles_are_granted_by_the_owner_alone(database_url: str, login: MakeLogin, server_url: str) -> None:
    name = login("")
    run(server_url, sql.SQL("GRANT {} TO {}").format(sql.Identifier(BoxOffice().roles[APP_ROLE]), sql.Identifier(name)))
    serving = as_login(database_url, name)
    refused = tixxety("grant", "ann@example.org", "admin", DATABASE_URL=serving)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
    assert "MIGRATE_DATABASE_URL" in refused.stderr
    unknown = tixxety("grant", "ann@example.org", "admin", DATABASE_URL=serving, MIGRATE_DATABASE_URL=database_url)
    assert "no account" in unknown.stderr


@pytest.mark.parametrize(("role", "may"), [(APP_ROLE, False), (WORKER_ROLE, True)])
def test_a_worker_that_may_not_do_its_work_is_told(
    database_url: str, login: MakeLogin, server_url: str, role: str, may: bool
) -> None:
    name, roles = login(""), BoxOffice().roles
    run(server_url, sql.SQL("GRANT {} TO {}").format(sql.Identifier(roles[role]), sql.Identifier(name)))
    if may:
        expect_worker_rights(as_login(database_url, name))
    else:
        with pytest.raises(Failure, match=f"may not act as {roles[WORKER_ROLE]}"):
            expect_worker_rights(as_login(database_url, name))


def test_a_right_that_somebody_has_granted_is_taken_back(database_url: str) -> None:
    run(database_url, sql.SQL("GRANT DELETE ON tixxety.stored_events, projections.events TO tixxety_worker"))
    migrate(database_url)
    with psycopg.connect(database_url) as owner:
        for table in ("tixxety.stored_events", "projections.events"):
            may = owner.execute("SELECT has_table_privilege('tixxety_worker', %s, 'DELETE')", (table,)).fetchone()
            assert may == (table == "projections.events",)


@contextmanager
def made_by_version_2(url: str, role: str) -> Iterator[None]:
    """The schema and the rights as version 2 made them."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA tixxety")
        owner.execute("SET search_path = tixxety")
        for step in steps()[:2]:
            owner.execute(step)
        owner.execute(OF_VERSION_2.format(role=role).encode())
    yield


def rights_of(url: str, role: str) -> object:
    with psycopg.connect(url) as owner:
        return owner.execute(MAY, (role, role)).fetchone()


def test_version_2_keeps_its_rights_until_its_last_session_is_gone(
    own_role: str, own_analysts: str, login: MakeLogin, database: MakeDatabase, server_url: str
) -> None:
    """Its one role was that of API and worker, and whoever logs in to the server could log in to the database."""
    url = as_superuser(server_url, database(urlsplit(server_url).username or "postgres"))
    serving, analyst, worker = login(""), login(""), BoxOffice().roles[WORKER_ROLE]
    for role, member in ((own_role, serving), (own_analysts, analyst)):
        run(url, sql.SQL("CREATE ROLE {} ROLE {}").format(sql.Identifier(role), sql.Identifier(member)))
    with made_by_version_2(url, own_role), psycopg.connect(as_login(url, serving)) as old:
        told = migrate(url)
        assert f"The session {old.info.backend_pid} of the login {serving}" in told[1]
        assert f"REVOKE {worker} FROM {serving}" in told[0]
        assert rights_of(url, own_role) == (True, True)
        assert migrate(url) == told[1:]
    assert migrate(url) == []
    assert rights_of(url, own_role) == (False, False)
    assert rights_of(url, worker) == (True, False)
    expect_worker_rights(as_login(url, serving))
    psycopg.connect(as_login(url, analyst)).close()
    stranger = login("")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(as_login(url, stranger))


def as_superuser(server_url: str, url: str) -> str:
    return urlsplit(server_url)._replace(path=urlsplit(url).path).geturl()


def test_where_there_is_no_role_for_the_worker_the_apis_does_all(
    own_role: str, login: MakeLogin, database: MakeDatabase, server_url: str
) -> None:
    url = database(login("NOCREATEROLE"))
    run(
        server_url,
        sql.SQL("CREATE ROLE {} ROLE {}").format(sql.Identifier(own_role), sql.Identifier(str(urlsplit(url).username))),
    )
    told = migrate(url)
    assert any(f"CREATE ROLE {BoxOffice().roles[WORKER_ROLE]}" in note for note in told)
    assert rights_of(url, own_role) == (True, False)
    expect_worker_rights(url)


async def test_by_logins_that_are_in_one_role_each_all_goes_on(
    database_url: str, login: MakeLogin, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving, working = login(""), login("")
    for role, name in ((APP_ROLE, serving), (WORKER_ROLE, working)):
        run(server_url, sql.SQL("GRANT {} TO {}").format(sql.Identifier(BoxOffice().roles[role]), sql.Identifier(name)))
    monkeypatch.setattr(snapshots, "MIN_INTERVAL_VERSIONS", 2)
    for job in (Snapshots, Sealing, RefusalRetention):
        monkeypatch.setattr(job, "interval_seconds", 1)
    url = as_login(database_url, serving)
    async with await connect(url) as connection, GroupCommit(url) as commands:
        organiser, buyer = await box_office.register(connection, 2)
        event = box_office.create(organiser, hold_seconds=1)
        await commands.submit(event)
        await commands.submit(box_office.reserve(event.event_id, buyer))
        with pytest.raises(EventExists):
            await commands.submit(replace(event, event_id=uuid4(), request_id=uuid4()))
        working_on = asyncio.create_task(worker_process.run(as_login(database_url, working), 90))
        try:
            for done in DONE_BY_THE_WORKER:
                await box_office.until(lambda done=done: box_office.only(connection, done))
        finally:
            working_on.cancel()
            await asyncio.gather(working_on, return_exceptions=True)
