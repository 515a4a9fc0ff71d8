"""Two box offices in one database: each sells, folds, expires, seals and verifies, and neither meets the other."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from api.app import ApiConfig, create_app
from auditing.verify.database.verify_database import verify
from eventstore import reading
from eventstore.box_office import (
    JOBS_KEY,
    MIGRATION_KEY,
    POSITION_KEY,
    REBUILD_KEY,
    SEAL_KEYS_KEY,
    WORKER_ROLE,
    BoxOffice,
)
from eventstore.postgres.connections import Connection, connect, connect_as_owner
from eventstore.seals import seal_keys, seals
from eventstore.writing.group_commit import GroupCommit
from projections import checkpoint
from projections.projector.projector import Projector
from projections.rebuilding.rebuild import rebuild
from tests import box_office
from tests.projections.waiting import running, until_folded
from tixxety.commands.analyst_url import hand_out, take_back
from tixxety.schema.migration import migrate
from tixxety.schema.version import schema_versions
from workers.main import run as work
from workers.periodic_jobs import Sealing

SCHEMAS = "SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|public)' ORDER BY 1"
TABLES = """
SELECT format('%%I.%%I', nspname, relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = ANY(%(schemas)s) AND relkind IN ('r', 'v')
"""
LOCK = "SELECT pg_advisory_lock(%(lock_class)s, %(lock_key)s)"
LOCK_TABLES = "SELECT pg_advisory_lock(%s, %s)"
NO_FAULTS: tuple[bool, list[object]] = (True, [])

Offices = tuple[BoxOffice, BoxOffice]


@pytest.fixture
def offices(database_url: str) -> Iterator[Offices]:
    """The default one, and another whose roles no other test has: they belong to the whole server."""
    another = BoxOffice(database_url, f"o{uuid4().hex[:12]}")
    assert migrate(another) == []
    yield BoxOffice(database_url), another
    drop(another)


@pytest.fixture(params=["the default", "the other"])
def one_and_other(request: pytest.FixtureRequest, offices: Offices) -> Offices:
    """Both, in either order: whatever holds for one of them against the other holds the other way round."""
    return offices if request.param == "the default" else (offices[1], offices[0])


def drop(office: BoxOffice) -> None:
    """Leave nothing of it, in the database or on the server."""
    with psycopg.connect(office.url, autocommit=True) as owner:
        for schema in (office.history, office.projections, office.old_projections):
            owner.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
        for role in office.roles.values():
            if owner.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None:
                owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
                owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@asynccontextmanager
async def open_for_sale(office: BoxOffice) -> AsyncIterator[tuple[Connection, GroupCommit]]:
    async with await connect(office) as connection, GroupCommit(office) as commands:
        yield connection, commands


async def sell(office: BoxOffice, *, event_id: UUID | None = None, hold_seconds: int = 120) -> UUID:
    """One event, of which one ticket is paid and one is only held; returns the reservation of the latter."""
    async with open_for_sale(office) as (connection, commands):
        organiser, ann, ben = await box_office.register(connection, 3)
        event = box_office.create(organiser, event_id=event_id or uuid4(), hold_seconds=hold_seconds)
        paid, held = (box_office.reserve(event.event_id, buyer) for buyer in (ann, ben))
        for command in (event, paid, box_office.pay(paid), held):
            await commands.submit(command)
        return held.reservation_id


async def judged(office: BoxOffice) -> tuple[bool, list[object]]:
    report = await verify(office)
    return report.ok, list(report.findings)


async def test_each_sells_folds_expires_seals_and_verifies(offices: Offices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sealing, "interval_seconds", 1)
    async with AsyncExitStack() as stack:
        for office in offices:
            await stack.enter_async_context(running_worker(office))
        held = await asyncio.gather(*(sell(office, hold_seconds=1) for office in offices))
        for office, reservation_id in zip(offices, held, strict=True):
            connection = await stack.enter_async_context(await connect(office))

            async def is_sealed(connection: Connection = connection, reservation_id: UUID = reservation_id) -> bool:
                newest, head = await seals.newest(connection), await reading.head(connection)
                ended = await box_office.only(
                    connection,
                    "SELECT count(*) FROM reservations WHERE reservation_id = %(id)s AND status = 'expired'",
                    id=reservation_id,
                )
                return ended == 1 and newest is not None and newest.last_position == head

            await box_office.until(is_sealed)
            history = await box_office.judged_history(connection)
            assert len(history.events) == 1, "nothing of the other's"
            assert (await checkpoint.read(connection)).position == len(history.records)
    for office in offices:
        assert await judged(office) == NO_FAULTS
    async with await connect(offices[0]) as one, await connect(offices[1]) as other:
        assert (await seal_keys.published(one))[0]["kid"] != (await seal_keys.published(other))[0]["kid"]


@asynccontextmanager
async def running_worker(office: BoxOffice) -> AsyncIterator[None]:
    task = asyncio.create_task(work(office, 90))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_lock_held_in_one_holds_up_nothing_in_the_other(one_and_other: Offices) -> None:
    """All locks there are, and those of a stream that both have: as where one was copied from the other."""
    one, other = one_and_other
    event_id = uuid4()
    await sell(one, event_id=event_id)
    async with await connect(one) as holder, await connect(other, role=WORKER_ROLE) as connection:
        for key in (POSITION_KEY, MIGRATION_KEY, JOBS_KEY, SEAL_KEYS_KEY, REBUILD_KEY):
            await holder.execute(LOCK, one.lock(key))
        generation = (await checkpoint.read(connection)).generation
        await holder.execute(LOCK_TABLES, (one.projector_class, generation))
        await box_office.lock_event(holder, event_id)

        await asyncio.wait_for(asyncio.to_thread(migrate, other), 60)
        await asyncio.wait_for(sell(other, event_id=event_id), 60)
        async with running(Projector(other)):
            await until_folded(connection)
        async with await connect_as_owner(other) as owner:
            await seal_keys.rotate(owner)
        async with connection.transaction():
            assert await seals.seal_next(connection) is not None
        rebuilt = await asyncio.wait_for(rebuild(other, lambda _: None, lambda _: None, 30), 60)
        assert rebuilt.position == await reading.head(connection)
    assert await judged(other) == NO_FAULTS


async def test_a_notification_of_one_wakes_nobody_of_the_other(one_and_other: Offices) -> None:
    one, other = one_and_other
    async with await connect(other) as listener, await connect(one) as connection:
        for channel in (other.channel, other.projections):
            await listener.execute(f"LISTEN {channel}")
        await sell(one)
        async with running(Projector(one)):
            await until_folded(connection)
        await connection.execute("SELECT pg_notify(%(channel)s, 'the end')", {"channel": other.channel})
        assert await next_heard(listener) == (other.channel, "the end")
        await sell(other)
        assert await next_heard(listener) == (other.channel, "1")


async def next_heard(listener: Connection) -> tuple[str, str]:
    """The first of the notifications that have come or come next; they are told in the order of their commits."""
    heard = [notice async for notice in listener.notifies(timeout=30, stop_after=1)]
    return heard[0].channel, heard[0].payload


async def test_the_roles_of_one_have_no_right_in_the_other(one_and_other: Offices) -> None:
    one, other = one_and_other
    async with await connect(other) as connection:
        values = {"schemas": [other.history, other.projections]}
        theirs = [name for (name,) in await (await connection.execute(TABLES, values)).fetchall()]
    assert len(theirs) > 10
    for role in one.roles:
        async with await connect(one, role=role) as connection:
            assert await box_office.only(connection, "SELECT current_user::text") == one.roles[role]
            for table in theirs:
                with pytest.raises(InsufficientPrivilege):
                    await connection.execute(f"SELECT FROM {table}")


def test_each_has_analysts_of_its_own(offices: Offices) -> None:
    for office, other in (offices, offices[::-1]):
        url = hand_out(office, office.name)
        try:
            with psycopg.connect(url) as analyst:
                assert analyst.execute("SELECT position FROM freshness").fetchall() == [(0,)]
                with pytest.raises(InsufficientPrivilege):
                    analyst.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(other.projections, "freshness")))
        finally:
            take_back(office, office.name)


async def test_each_is_served_by_an_api_of_its_own(offices: Offices) -> None:
    async with AsyncExitStack() as stack:
        for office in offices:
            app = create_app(ApiConfig(box_office=office, jwt_secret="a secret for tests, and for nothing else"))
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx2.ASGITransport(app)
            client = await stack.enter_async_context(httpx2.AsyncClient(transport=transport, base_url="http://office"))
            person = {"email": "ann@example.org", "password": "correct horse battery", "name": office.name}
            assert (await client.post("/auth/register", json=person)).status_code == 201
            async with running(Projector(office)), await connect(office) as connection:
                await sell(office)
                await until_folded(connection)
                assert len((await client.get("/events")).json()["items"]) == 1
                assert (await client.get("/health/ready")).json()["status"] == "ready"


async def test_dropping_one_leaves_the_other_well(offices: Offices) -> None:
    first, second = offices
    for office in offices:
        await sell(office)
    await asyncio.to_thread(drop, second)
    assert await asyncio.to_thread(schema_versions, second) is None
    assert await asyncio.to_thread(migrate, first) == []
    async with await connect(first) as connection, running(Projector(first)):
        await sell(first)
        await until_folded(connection)
        schemas = await (await connection.execute(SCHEMAS)).fetchall()
        assert schemas == [(first.projections,), (first.history,)]
    assert await judged(first) == NO_FAULTS
