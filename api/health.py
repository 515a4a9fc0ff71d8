"""Is the process alive, and is everything there that it needs to serve?"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout, TooManyRequests
from pydantic import BaseModel, Field

from api.docs.example_values import shown
from api.plumbing.projector_presence import ProjectorPresence
from api.plumbing.services import Services, TheServices
from eventstore import append_only_status, schema_version
from eventstore.append_only_status import Guards
from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import Connection
from eventstore.reading import first_after
from projections.queries import consumers_queries, reservations_queries
from projections.schema import needed_columns

DATABASE_PATIENCE_SECONDS = 1.0
LONGEST_LAG_SECONDS = 10.0

STATE = """
SELECT clock_timestamp(), pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
       100 * pg_notification_queue_usage()
"""
router = APIRouter(prefix="/health", tags=["health"])


NO_PROJECTOR = {"database": {"ok": True}, "runner": {"ok": False, "problem": "no projector holds its lock"}}
BY_BOTH = "privileges and trigger"
BY_TRIGGER = "trigger alone: this login has rights that the role {app} is not given"
BY_PRIVILEGES = "privileges alone: a trigger is missing or disabled, of "


class Alive(BaseModel):
    """The process answers."""

    status: Annotated[str, Field(examples=["alive"])]


class Check(BaseModel):
    """One thing that serving needs; `problem` says what is wrong with it."""

    ok: Annotated[bool, Field(examples=[True])]
    problem: str | None = None


class ConsumerLag(BaseModel):
    """How far one consumer of the history is: up to `position`, with so many domain events `behind` the head."""

    name: Annotated[str, Field(examples=["sealing"])]
    position: int
    behind: Annotated[int, Field(examples=[3])]


class Readiness(BaseModel):
    """Ready when every check is ok. `append_only` says how the database keeps the history from being changed.

    The lag of a consumer turns nothing red by itself: the check `projections` looks at the projector's.

    `notification_queue_percent` is how full the server's queue of notifications is. Full, it stops no sale, but who
    waits for the projections hears of them late.
    """

    status: Annotated[str, Field(examples=["ready"])]
    checks: Annotated[dict[str, Check], Field(examples=[{"database": {"ok": True}, "projections": {"ok": True}}])]
    append_only: Annotated[str | None, Field(examples=[BY_BOTH])] = None
    notification_queue_percent: Annotated[float | None, Field(examples=[0.0])] = None
    consumers: list[ConsumerLag] = []


@router.get("/live", response_model=Alive)
async def check_liveness() -> dict[str, str]:
    """Whether this process should be left running: asks nothing of the database."""
    return {"status": "alive"}


@router.get(
    "/ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not ready", **shown(status="not ready", checks=NO_PROJECTOR)}},
)
async def check_readiness(response: Response, services: TheServices) -> Readiness:
    """Whether requests should come here: the database answers and can be written to, and the projections keep up."""
    try:
        async with asyncio.timeout(DATABASE_PATIENCE_SECONDS):
            async with services.health_pool.connection(DATABASE_PATIENCE_SECONDS) as connection:
                readiness = await _look(connection, services)
    except (PoolTimeout, TooManyRequests):
        readiness = _readiness({"database": Check(ok=False, problem="too many ask for readiness at once")})
    except (DatabaseError, TimeoutError):
        problem = f"did not answer within {DATABASE_PATIENCE_SECONDS:g} s"
        readiness = _readiness({"database": Check(ok=False, problem=problem)})
    if readiness.status != "ready":
        response.status_code = 503
    return readiness


async def _look(connection: Connection, services: Services) -> Readiness:
    row = await (await connection.execute(STATE)).fetchone()
    assert row is not None  # noqa: S101
    now, is_standby, is_read_only, queue_percent = row
    checks = {"database": Check(ok=True), "schema": _check(await schema_version.why_unusable(connection))}
    if not checks["schema"].ok:
        return _readiness(checks)
    checks["writing"] = await _writing(connection, services, is_standby=is_standby, is_read_only=is_read_only)
    found = await append_only_status.read(connection)
    checks["append_only"] = _unguarded(found)
    checks["projections"] = _check(_missing(await needed_columns.missing(connection)))
    lags = []
    if checks["projections"].ok:
        lags = [ConsumerLag(**lag._asdict()) for lag in await consumers_queries.lags(connection)]
        folded = await reservations_queries.readiness(connection)
        checks["runner"] = _projector(services.projector_presence, is_there=folded.projector_holds_lock)
        checks["projections"] = await _projections(connection, folded, now)
    return _readiness(checks, _told(found, connection.box_office), queue_percent, lags)


def _check(problem: str | None) -> Check:
    return Check(ok=problem is None, problem=problem)


def _readiness(
    checks: dict[str, Check],
    append_only: str | None = None,
    notification_queue_percent: float | None = None,
    consumers: Sequence[ConsumerLag] = (),
) -> Readiness:
    return Readiness(
        status="ready" if all(check.ok for check in checks.values()) else "not ready",
        checks=checks,
        append_only=append_only,
        notification_queue_percent=notification_queue_percent,
        consumers=list(consumers),
    )


async def _writing(connection: Connection, services: Services, *, is_standby: bool, is_read_only: bool) -> Check:
    if is_standby:
        return Check(ok=False, problem="the database is a standby: nothing can be sold here")
    if is_read_only:
        return Check(ok=False, problem="the database is read-only: nothing can be sold")
    await services.failure_log.look_at_disk(connection)
    return _check("the disk of the database is full" if services.failure_log.disk_is_full else None)


def _unguarded(found: Guards) -> Check:
    if not found.unguarded:
        return Check(ok=True)
    problem = f"{' and '.join(found.unguarded)} can be changed: no right is withheld, and no trigger refuses"
    return Check(ok=False, problem=problem)


def _told(found: Guards, box_office: BoxOffice) -> str:
    """How the history is guarded where it is guarded least."""
    tables = frozenset(append_only_status.APPEND_ONLY)
    without_trigger = ", ".join(sorted(tables - found.by_trigger))
    if found.unguarded:
        return f"nothing, of {', '.join(found.unguarded)}"
    if without_trigger:
        return BY_PRIVILEGES + without_trigger
    return BY_BOTH if found.by_privileges == tables else BY_TRIGGER.format(**box_office.roles)


def _missing(names: list[str]) -> str | None:
    if not names:
        return None
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"the tables for reading are of another version, without {names[0]}{more}: run tixxety rebuild"


def _projector(sightings: ProjectorPresence, *, is_there: bool) -> Check:
    if sightings.note(is_there):
        return Check(ok=True)
    return Check(ok=False, problem="no projector holds its lock: run tixxety worker")


async def _projections(connection: Connection, folded: reservations_queries.Readiness, now: datetime) -> Check:
    if folded.stopped_before is not None:
        return Check(ok=False, problem=f"position {folded.stopped_before} can't be folded: the worker's log says why")
    unfolded = await first_after(connection, folded.position)
    if unfolded is None:
        return Check(ok=True)
    position, recorded_at = unfolded
    lag_seconds = (now - recorded_at).total_seconds()
    if lag_seconds < LONGEST_LAG_SECONDS:
        return Check(ok=True)
    return Check(ok=False, problem=f"position {position} has waited {lag_seconds:.0f} s to be folded")
