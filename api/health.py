"""Is the process alive, and is everything there that it needs to serve?"""

import asyncio
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from psycopg import Error as DatabaseError
from psycopg.errors import UndefinedTable
from pydantic import BaseModel, Field

from api.services import Services, TheServices
from api.sightings import RunnerSightings
from eventstore.connections import APP_ROLE, Connection
from eventstore.history import first_after
from eventstore.schema import SCHEMA_VERSION
from projections import queries
from projections.checkpoint import DEFINITIONS_VERSION

DATABASE_PATIENCE_SECONDS = 1.0
LONGEST_LAG_SECONDS = 10.0

VERSION = "SELECT version FROM schema_version"
IDENTITY = "SELECT current_user::text, clock_timestamp()"
router = APIRouter(prefix="/health", tags=["health"])


BY_BOTH = "privileges and trigger"
BY_TRIGGER = f"trigger alone: this login can't take the role {APP_ROLE}"


class Alive(BaseModel):
    """The process answers."""

    status: str


class Check(BaseModel):
    """One thing that serving needs; `problem` says what is wrong with it."""

    ok: bool
    problem: str | None = None


class Readiness(BaseModel):
    """Ready when every check is ok. `append_only` says how the database keeps the history from being changed."""

    status: str
    checks: dict[str, Check]
    append_only: Annotated[str | None, Field(examples=[BY_BOTH])]


@router.get("/live", operation_id="check_liveness", response_model=Alive)
async def live() -> dict[str, str]:
    """Whether this process should be left running: asks nothing of the database."""
    return {"status": "alive"}


@router.get(
    "/ready",
    operation_id="check_readiness",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not ready"}},
)
async def ready(response: Response, services: TheServices) -> Readiness:
    """Whether requests should come here: the database answers, its schema is ours, and the projections keep up."""
    try:
        async with asyncio.timeout(DATABASE_PATIENCE_SECONDS):
            async with services.pool.connection(DATABASE_PATIENCE_SECONDS) as connection:
                readiness = await _look(connection, services)
    except (DatabaseError, TimeoutError):
        problem = f"did not answer within {DATABASE_PATIENCE_SECONDS:g} s"
        readiness = _readiness({"database": Check(ok=False, problem=problem)})
    if readiness.status != "ready":
        response.status_code = 503
    return readiness


async def _look(connection: Connection, services: Services) -> Readiness:
    identity = await (await connection.execute(IDENTITY)).fetchone()
    assert identity is not None  # noqa: S101
    login, now = identity
    checks = {"database": Check(ok=True), "schema": await _schema(connection)}
    if checks["schema"].ok:
        projections = await queries.readiness(connection)
        checks["runner"] = _runner(services.runner_sightings, is_there=projections.runner_holds_lock)
        checks["projections"] = await _projections(connection, projections, now)
    return _readiness(checks, BY_BOTH if login == APP_ROLE else BY_TRIGGER)


def _readiness(checks: dict[str, Check], append_only: str | None = None) -> Readiness:
    status = "ready" if all(check.ok for check in checks.values()) else "not ready"
    return Readiness(status=status, checks=checks, append_only=append_only)


async def _schema(connection: Connection) -> Check:
    try:
        row = await (await connection.execute(VERSION)).fetchone()
    except UndefinedTable:
        row = None
    if row == (SCHEMA_VERSION,):
        return Check(ok=True)
    found = f"version {row[0]}" if row else "no version"
    problem = f"the database has {found}, this program needs {SCHEMA_VERSION}: run tixxety migrate"
    return Check(ok=False, problem=problem)


def _runner(sightings: RunnerSightings, *, is_there: bool) -> Check:
    if sightings.note(is_there):
        return Check(ok=True)
    return Check(ok=False, problem="no projection runner holds its lock: run tixxety worker")


async def _projections(connection: Connection, folded: queries.Readiness, now: datetime) -> Check:
    if folded.definitions_version < DEFINITIONS_VERSION:
        return Check(ok=False, problem="the tables for reading are of an older version: run tixxety rebuild")
    if folded.definitions_version > DEFINITIONS_VERSION:
        return Check(ok=False, problem="the tables for reading are of a newer version than this program")
    unfolded = await first_after(connection, folded.position)
    if unfolded is None:
        return Check(ok=True)
    position, recorded_at = unfolded
    lag_seconds = (now - recorded_at).total_seconds()
    if lag_seconds < LONGEST_LAG_SECONDS:
        return Check(ok=True)
    return Check(ok=False, problem=f"position {position} has waited {lag_seconds:.0f} s to be folded")
