"""What buyers see of their reservations, and what the worker finds to do."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from domain.commands import Actor, ExpireReservation, PayReservation, WithdrawReservation
from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from eventstore.postgres.shared_reads import SharedReads
from projections import checkpoint
from projections.checkpoint import DEFINITIONS_VERSION
from projections.projector.projector import Projector
from projections.queries import reservations_queries
from tests.projections.histories import NOON
from tests.projections.programme import Programme
from tests.projections.waiting import running, until, until_somebody_leads

ANN, BOB = UUID(int=0xA), UUID(int=0xB)
ALL = 200


async def test_a_buyer_sees_the_newest_first_page_by_page(database_url: str) -> None:
    programme = Programme()
    concert = programme.announce("Concert")
    for n in range(25):
        programme.reserve(concert, ANN, NOON + timedelta(seconds=n // 4))
        programme.reserve(concert, BOB, NOON + timedelta(seconds=n // 4))
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await programme.fold(connection)
        everything = await reservations_queries.reservations(connection, ANN, limit=ALL)
        assert len(everything) == 25
        assert {row.buyer_id for row in everything} == {ANN}
        assert everything == sorted(everything, key=lambda row: (row.placed_at, row.reservation_id), reverse=True)
        for size in (1, 4, 25):
            pages, after = [], None
            while page := await reservations_queries.reservations(connection, ANN, after=after, limit=size):
                pages += page
                after = (page[-1].placed_at, page[-1].reservation_id)
            assert pages == everything
        assert await reservations_queries.reservations(connection, uuid4(), limit=ALL) == []


async def test_filters_by_status_and_event(database_url: str) -> None:
    programme = Programme()
    concert, match = programme.announce("Concert"), programme.announce("Match")
    held, paid, elsewhere = (programme.reserve(event_id, ANN) for event_id in (concert, concert, match))
    asked: Any = {"request_id": uuid4(), "actor": Actor(ANN)}
    programme.submit([PayReservation(event_id=concert, reservation_id=paid, payment_reference="ref", **asked)])
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await programme.fold(connection)

        async def found(**filters: Any) -> set[UUID]:
            return {
                row.reservation_id
                for row in await reservations_queries.reservations(connection, ANN, limit=ALL, **filters)
            }

        assert await found() == {held, paid, elsewhere}
        assert await found(status="reserved") == {held, elsewhere}
        assert await found(status="paid") == {paid}
        assert await found(event_id=concert) == {held, paid}
        assert await found(event_id=concert, status="cancelled") == set()
        everything = await reservations_queries.reservations(connection, ANN, limit=ALL)
        async with SharedReads(database_url) as reads:
            row = await reservations_queries.reservation(reads.ask, paid)
            assert row is not None
            assert (row.status, row.payment_reference, row.buyer_id, row.quantity) == ("paid", "ref", ANN, 1)
            assert await reservations_queries.reservation(reads.ask, uuid4()) is None
            assert await reservations_queries.newest_reservations(reads.ask, ANN, ALL) == everything
            assert await reservations_queries.newest_reservations(reads.ask, ANN, 2) == everything[:2]
            assert await reservations_queries.newest_reservations(reads.ask, uuid4(), ALL) == []


async def test_holds_are_due_by_the_clock_of_the_database_oldest_first(database_url: str) -> None:
    programme = Programme()
    now = datetime.now(UTC)
    concert = programme.announce("Concert", now + timedelta(hours=2))
    due = [programme.reserve(concert, ANN, now - timedelta(hours=3, minutes=-n)) for n in range(5)]
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        assert await reservations_queries.next_due_in_seconds(connection) is None
        await programme.fold(connection)
        assert await reservations_queries.due_reservations(connection, ALL) == [(each, concert) for each in due]
        assert await reservations_queries.due_reservations(connection, 2) == [(each, concert) for each in due[:2]]
        late = await reservations_queries.next_due_in_seconds(connection)
        assert late is not None
        assert late < -3_600
        programme.office.now = now
        programme.submit(ExpireReservation(event_id=concert, request_id=uuid4(), reservation_id=each) for each in due)
        programme.reserve(concert, ANN, now + timedelta(minutes=90))
        await programme.fold(connection)
        assert await reservations_queries.due_reservations(connection, ALL) == []
        early = await reservations_queries.next_due_in_seconds(connection)
        assert early is not None
        assert early > 3_600


async def test_reservations_of_cancelled_events_are_found_until_they_ended(database_url: str) -> None:
    programme = Programme()
    first, second, third = (programme.announce(title) for title in ("First", "Second", "Third"))
    open_ones = {event_id: [programme.reserve(event_id, ANN) for _ in range(3)] for event_id in (first, second, third)}
    paid = open_ones[second][0]
    pay = PayReservation(event_id=second, request_id=uuid4(), reservation_id=paid, actor=Actor(ANN))
    programme.submit([pay])
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await programme.fold(connection)
        assert await reservations_queries.reservations_of_cancelled_events(connection, 0, ALL) == []
        programme.call_off(second)
        second_cancelled = await programme.fold(connection)
        programme.call_off(first)
        first_cancelled = await programme.fold(connection)

        async def left(after_position: int, limit: int = ALL) -> list[tuple[UUID, UUID]]:
            found = await reservations_queries.reservations_of_cancelled_events(connection, after_position, limit)
            return [(event_id, reservation_id) for reservation_id, event_id in found]

        in_order = await left(0)
        assert [event_id for event_id, _ in in_order] == [second] * 3 + [first] * 3
        assert {reservation_id for _, reservation_id in in_order} == {*open_ones[first], *open_ones[second]}
        assert [event_id for event_id, _ in await left(0, limit=4)] == [second] * 3 + [first]
        assert [event_id for event_id, _ in await left(second_cancelled)] == [first] * 3
        assert await left(first_cancelled) == []
        programme.submit(
            WithdrawReservation(event_id=event_id, request_id=uuid4(), reservation_id=reservation_id)
            for event_id, reservation_id in in_order
        )
        await programme.fold(connection)
        assert await left(0) == []


async def test_readiness_tells_whether_a_projector_is_there_and_how_far_it_is(database_url: str) -> None:
    programme = Programme()
    programme.announce("Concert")
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        before = await reservations_queries.readiness(connection)
        assert before[:3] == (0, DEFINITIONS_VERSION, False)
        async with running(Projector(database_url)):
            await until_somebody_leads(connection)
            assert (await reservations_queries.readiness(connection)).projector_holds_lock
        last = await programme.fold(connection)
        await until(lambda: no_projector(connection))
        after = await reservations_queries.readiness(connection)
        assert (after.position, (await checkpoint.read(connection)).position) == (last, last)
        await connection.execute("UPDATE checkpoint SET definitions_version = definitions_version + 1")
        assert (await reservations_queries.readiness(connection)).definitions_version == DEFINITIONS_VERSION + 1


async def no_projector(connection: Connection) -> bool:
    return not (await reservations_queries.readiness(connection)).projector_holds_lock
