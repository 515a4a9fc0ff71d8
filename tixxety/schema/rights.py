"""Which of the two roles may do what: the whole table of rights, and how `migrate` gives and takes them."""

from typing import NamedTuple

from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from eventstore.box_office import APP_ROLE, WORKER_ROLE, BoxOffice
from eventstore.postgres.connections import Connection, connect
from projections.schema import make_schema
from tixxety.errors import Failure
from tixxety.processes.stop_signals import run
from tixxety.schema.database_roles import HAS_ROLE, asks, retried


class Rights(NamedTuple):
    """What the API's role and the worker's may do with one table or function; nothing where it is empty."""

    app: str
    worker: str


OLD_VERSION = (
    "The session {pid} of the login {login} seems to be of an older version, which needs rights that the role {role} "
    "shall lose: run tixxety migrate again when it is gone."
)
BOTH_ROLES = (
    "The login {login} may act as {worker} from now on, since the worker may be coming by it. "
    "Give the worker a login of its own, then run: REVOKE {worker} FROM {login}."
)
NO_WORKER = (
    "This login may not act as {worker}, as a worker must: as one that may, run GRANT {worker} TO the worker's login."
)
NOT_YET_BOTH = "If the worker comes by the login {login}, it needs the right to: GRANT {worker} TO {login}."

PUBLIC_HALVES = "SELECT (key_id, public_key, created_at, retired_at)"
PERSON = "email, name, street, city, state, country"

# Every table and view of the history's schema. An account is registered without roles, and its password is only ever
# read and changed through functions. Who meets a snapshot that can't be read drops it; taking one is the worker's.
HISTORY_RIGHTS = {
    "stored_events": Rights("SELECT, INSERT", "SELECT, INSERT"),
    "history": Rights("SELECT", "SELECT"),
    "schema_version": Rights("SELECT", "SELECT"),
    "event_names": Rights("SELECT, INSERT, UPDATE, DELETE", ""),
    "snapshots": Rights("SELECT, DELETE", "SELECT, INSERT, UPDATE, DELETE"),
    "accounts": Rights(
        f"SELECT (account_id, roles, created_at, {PERSON}), INSERT (account_id, password_hash, {PERSON}), "
        f"UPDATE ({PERSON}), DELETE",
        "SELECT (account_id)",
    ),
    "sessions": Rights(
        "SELECT, INSERT, UPDATE (token_hash, previous_hash, refreshed_at), DELETE", "SELECT (expires_at), DELETE"
    ),
    "api_keys": Rights("SELECT, INSERT, UPDATE (last_used_at), DELETE", "SELECT (expires_at), DELETE"),
    "password_resets": Rights("", "SELECT (expires_at), DELETE"),
    "refused_together": Rights("SELECT, INSERT", "SELECT, DELETE"),
    "refusals": Rights("SELECT", ""),
    "seals": Rights("SELECT", "SELECT, INSERT"),
    "seal_keys": Rights(PUBLIC_HALVES, "SELECT"),
    "audit_reads": Rights("SELECT, INSERT", ""),
    "consumers": Rights("SELECT", "SELECT, INSERT, UPDATE"),
}
# Every function of that schema. A trigger's function needs no right to be called.
FUNCTION_RIGHTS = {
    "append": Rights("EXECUTE", "EXECUTE"),
    "lock_streams": Rights("EXECUTE", "EXECUTE"),
    "try_lock_streams": Rights("EXECUTE", "EXECUTE"),
    "end_silent_holders": Rights("EXECUTE", "EXECUTE"),
    "wait_for_standbys": Rights("EXECUTE", "EXECUTE"),
    "credentials": Rights("EXECUTE", ""),
    "hold_password": Rights("EXECUTE", ""),
    "change_password": Rights("EXECUTE", ""),
    "password_reset_email": Rights("EXECUTE", ""),
    "reset_password": Rights("EXECUTE", ""),
    "refuse_change": Rights("", ""),
}

TAKE_ALL = sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA {}, {} FROM {}")
USE_SCHEMA = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}")
ON_TABLE = sql.SQL("GRANT {} ON {} TO {}")
ON_FUNCTION = sql.SQL("GRANT {} ON FUNCTION {} TO {}")
CLOSE_FUNCTION = sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC")
# Version 2 had one role for both, and its sessions had no name of ours.
HAS_OLD_RIGHTS = "SELECT has_table_privilege(%(role)s, %(table)s, 'INSERT')"
MAY_SEAL = "SELECT has_table_privilege('seals', 'INSERT')"
OLD_SESSION = """
SELECT a.pid, a.usename::text FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.application_name = ''
  AND pg_has_role(a.usesysid, %(role)s, 'MEMBER') ORDER BY a.pid LIMIT 1
"""
OLD_LOGINS = """
SELECT rolname::text FROM pg_roles
WHERE rolcanlogin AND NOT rolsuper AND rolname <> %(app)s
  AND pg_has_role(oid, %(app)s, 'MEMBER') AND NOT pg_has_role(oid, %(worker)s, 'MEMBER') ORDER BY rolname
"""
JOIN = sql.SQL("GRANT {} TO {}")


async def existing_roles(connection: Connection) -> list[str]:
    """Those of our two roles that are there: the API's, the worker's."""
    return [role for role in _both(connection) if await asks(connection, HAS_ROLE, role=role)]


async def give_rights(connection: Connection) -> list[str]:
    """Make the rights what the tables above say, for the roles that are there; returns what the operator should know.

    Where there is no role for the worker, the API's has the rights of both. What version 2 gave to the API's role
    beyond that is not taken away before the last session of that version is gone.
    """
    app, worker = _both(connection)
    office = connection.box_office
    history, projections = (sql.Identifier(name) for name in (office.history, office.projections))
    roles = await existing_roles(connection)
    notes = await _in_use(connection) if roles == [app, worker] else []
    for role in roles:
        if role == worker or not notes:
            await connection.execute(TAKE_ALL.format(history, projections, sql.Identifier(role)))
        await connection.execute(USE_SCHEMA.format(history, sql.Identifier(role)))
        await _give(connection, role, app=role == app, worker=role == worker or worker not in roles)
    if roles:
        for function in FUNCTION_RIGHTS:
            await connection.execute(CLOSE_FUNCTION.format(sql.Identifier(office.history, function)))
    await make_schema.grant(connection, office.projections)
    return notes


async def let_logins_work(connection: Connection) -> list[str]:
    """Let the API's logins act as the worker too: to version 2 both were one. Returns what the operator should know."""
    app, worker = _both(connection)
    if await existing_roles(connection) != [app, worker]:
        return []
    rows = await (await connection.execute(OLD_LOGINS, {"app": app, "worker": worker})).fetchall()

    async def join() -> None:
        for (login,) in rows:
            await connection.execute(JOIN.format(sql.Identifier(worker), sql.Identifier(login)))

    try:
        form = BOTH_ROLES if await retried(join) else NOT_YET_BOTH
    except InsufficientPrivilege:
        form = NOT_YET_BOTH
    return [form.format(login=login, worker=worker) for (login,) in rows]


def expect_worker_rights(box_office: BoxOffice | str) -> None:
    """Raises Failure where this login can't do the worker's work. Raises `psycopg.Error`."""

    async def ask() -> bool:
        async with await connect(box_office, role=WORKER_ROLE) as connection:
            return await asks(connection, MAY_SEAL)

    if not run(ask()):
        raise Failure(NO_WORKER.format(**BoxOffice.at(box_office).roles))


def _both(connection: Connection) -> list[str]:
    return [connection.box_office.roles[role] for role in (APP_ROLE, WORKER_ROLE)]


async def _in_use(connection: Connection) -> list[str]:
    """Whether the API's role still has the rights that version 2 needs, and who seems to need them."""
    office = connection.box_office
    role = office.roles[APP_ROLE]
    if not await asks(connection, HAS_OLD_RIGHTS, role=role, table=f"{office.history}.seals"):
        return []
    rows = await (await connection.execute(OLD_SESSION, {"role": role})).fetchall()
    return [OLD_VERSION.format(pid=pid, login=login, role=role) for pid, login in rows]


async def _give(connection: Connection, role: str, *, app: bool, worker: bool) -> None:
    for form, table in ((ON_TABLE, HISTORY_RIGHTS), (ON_FUNCTION, FUNCTION_RIGHTS)):
        for name, rights in table.items():
            for right in {rights.app if app else "", rights.worker if worker else ""} - {""}:
                what = sql.Identifier(connection.box_office.history, name)
                await connection.execute(form.format(sql.SQL(right), what, sql.Identifier(role)))
