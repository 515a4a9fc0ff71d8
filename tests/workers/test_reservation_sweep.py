"""Tickets that were not paid in time are taken back: never early, each once, whatever dies; cancelled events end."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest
from structlog.testing import capture_logs

from domain.commands import Command, ReserveTickets
from domain.errors import SoldOut
from domain.event_facts import TicketsReleased
from domain.reservation import ReservationCancelled, ReservationExpired, ReservationPlaced
from eventstore.postgres.asyncio_tasks import end
from eventstore.postgres.connections import Connection
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from projections import checkpoint
from projections.projector.checkpoint_watcher import CheckpointWatcher
from projections.projector.projector import Projector
from projections.queries import reservations_queries
from tests import box_office
from tests.fault_proxy import FaultProxy
from tests.settable_clock import Clock, settable_clock
from tests.workers.conftest import Worker
from workers import reservation_sweep
from workers.reservation_sweep import ReservationSweep

EXPIRED = "SELECT count(*) FROM stored_events WHERE topic = 'ReservationExpired'"
CANCELLED = "SELECT count(*) FROM stored_events WHERE topic = 'ReservationCancelled'"
OPEN = "SELECT count(*) FROM reservations WHERE status IN ('reserved', 'paid')"
TAKEN = "SELECT reserved, paid FROM ticket_types WHERE event_id = %(event_id)s"
REOPEN = "UPDATE reservations SET status = 'reserved', cancelled_at = NULL, cancel_reason = NULL"
IS_OVER = "SELECT clock_timestamp() >= %(deadline)s"
END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %(mine)s) AND application_name = 'worker'
"""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReservationSweep, "interval_seconds", 0.2)


@pytest.fixture
async def clock(database_url: str) -> AsyncIterator[Clock]:
    async with settable_clock(database_url) as clock:
        yield clock


async def reserved(
    connection: Connection, commands: GroupCommit, buyers: int, *, hold_seconds: int = 1, paid: int = 0
) -> list[ReserveTickets]:
    """Reservations of one new event that is then sold out; the first ones are paid."""
    organiser, *ids = await box_office.register(connection, buyers + 1)
    event = box_office.create(organiser, capacity=buyers, hold_seconds=hold_seconds)
    await commands.submit(event)
    wishes = [box_office.reserve(event.event_id, buyer) for buyer in ids]
    assert box_office.count(await box_office.submit_all(commands, wishes), Outcome) == buyers
    payments = await box_office.submit_all(commands, [box_office.pay(wish) for wish in wishes[:paid]])
    assert box_office.count(payments, Outcome) == paid
    return wishes


async def reserved_before(
    clock: Clock, connection: Connection, commands: GroupCommit, buyers: int, *, paid: int = 0
) -> list[ReserveTickets]:
    """The same, a minute ago: whatever is not paid is due."""
    await clock.shift(seconds=-60)
    wishes = await reserved(connection, commands, buyers, hold_seconds=30, paid=paid)
    await clock.shift(seconds=0)
    return wishes


async def until_recorded(connection: Connection, query: str, wanted: int) -> None:
    """Wait until a count over the history is reached."""

    async def reached() -> bool:
        return bool(await box_office.only(connection, query) >= wanted)

    await box_office.until(reached)


async def judged(connection: Connection) -> box_office.History:
    """The history, after seeing that nothing expired early and nothing ended twice."""
    told = await box_office.judged_history(connection)
    for stream in told.streams.values():
        if isinstance(placed := stream[0], ReservationPlaced):
            ends = [e for e in stream[1:] if isinstance(e, ReservationExpired | ReservationCancelled)]
            assert len(ends) <= 1
            assert all(e.timestamp >= placed.hold_expires_at for e in ends if isinstance(e, ReservationExpired))
    return told


async def test_a_hold_that_is_due_is_taken_back(connection: Connection, commands: GroupCommit, worker: Worker) -> None:
    (wish,) = await reserved(connection, commands, 1)
    (buyer,) = await box_office.register(connection, 1)
    async with worker():
        await until_recorded(connection, EXPIRED, 1)

        async def is_folded() -> bool:
            status = "SELECT status FROM reservations WHERE reservation_id = %(id)s"
            return bool(await box_office.only(connection, status, id=wish.reservation_id) == "expired")

        await box_office.until(is_folded)
    told = await judged(connection)
    assert told.types(wish.reservation_id) == ["ReservationPlaced", "ReservationExpired"]
    assert {e.actor_id for e in told.streams[wish.reservation_id][1:]} == {"system"}
    assert await (await connection.execute(TAKEN, {"event_id": wish.event_id})).fetchall() == [(0, 0)]
    assert (await commands.submit(box_office.reserve(wish.event_id, buyer))).position == 7


async def test_two_workers_expire_each_exactly_once(
    connection: Connection, commands: GroupCommit, worker: Worker
) -> None:
    async with worker(), worker():
        first = await reserved(connection, commands, 60, paid=20)
        second = await reserved(connection, commands, 40)
        await until_recorded(connection, EXPIRED, 80)
    told = await judged(connection)
    assert told.count(ReservationExpired) == told.count(TicketsReleased) == 80
    assert all(told.types(wish.reservation_id)[1:] == ["ReservationPaid"] for wish in first[:20])
    unpaid = [*first[20:], *second]
    assert all(told.types(wish.reservation_id)[1:] == ["ReservationExpired"] for wish in unpaid)


async def test_another_worker_takes_over(
    clock: Clock, connection: Connection, commands: GroupCommit, worker: Worker
) -> None:
    async with worker():
        async with worker() as first:
            await reserved_before(clock, connection, commands, 10)
            await until_recorded(connection, EXPIRED, 10)
            first.cancel()
        await reserved_before(clock, connection, commands, 10)
        await until_recorded(connection, EXPIRED, 20)
    assert (await judged(connection)).count(ReservationExpired) == 20


async def test_due_tickets_are_for_sale_at_the_exact_second_with_no_worker_alive(
    connection: Connection, commands: GroupCommit
) -> None:
    wishes = await reserved(connection, commands, 5, paid=2)
    buyers = await box_office.register(connection, 5)
    told = await judged(connection)
    placed = told.streams[wishes[4].reservation_id][0]
    assert isinstance(placed, ReservationPlaced)
    with pytest.raises(SoldOut):
        await commands.submit(box_office.reserve(wishes[0].event_id, buyers[0]))

    async def is_over() -> bool:
        return bool(await box_office.only(connection, IS_OVER, deadline=placed.hold_expires_at))

    await box_office.until(is_over)
    again = [box_office.reserve(wishes[0].event_id, buyer) for buyer in buyers]
    answers = await box_office.submit_all(commands, again)
    assert [type(answer) for answer in answers] == [Outcome] * 3 + [SoldOut] * 2
    told = await judged(connection)
    for wish in wishes[2:]:
        expired = told.streams[wish.reservation_id][1]
        assert isinstance(expired, ReservationExpired)
        assert expired.request_id in {one.request_id for one in again}, "one command, one transaction"


async def test_reservations_of_a_cancelled_event_end_with_it_though_workers_stop_midway(
    connection: Connection, commands: GroupCommit, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reservation_sweep, "AT_ONCE_COMMANDS", 20)
    wishes = await reserved(connection, commands, 160, hold_seconds=120, paid=60)
    told = await judged(connection)
    organiser = told.events[wishes[0].event_id].created.organiser_id
    await commands.submit(box_office.cancel_event(wishes[0].event_id, organiser))
    for some in (1, 40):
        async with worker():
            await until_recorded(connection, CANCELLED, some)
        assert await box_office.only(connection, CANCELLED) < 160
    async with worker():
        await until_recorded(connection, CANCELLED, 160)
        await until_folded(connection)
        assert await box_office.only(connection, OPEN) == 0
    told = await judged(connection)
    assert told.count(ReservationCancelled) == 160
    for number, wish in enumerate(wishes):
        cancelled = told.streams[wish.reservation_id][-1]
        assert isinstance(cancelled, ReservationCancelled)
        assert cancelled.reason == "event-cancelled"
        assert cancelled.refund_due_minor == (2500 if number < 60 else 0)


async def test_what_was_paid_is_to_be_refunded_when_the_event_is_cancelled_after_its_end(
    clock: Clock, connection: Connection, commands: GroupCommit, worker: Worker
) -> None:
    wishes = await reserved(connection, commands, 20, hold_seconds=120, paid=15)
    organiser = (await judged(connection)).events[wishes[0].event_id].created.organiser_id
    await clock.shift(days=2)
    await commands.submit(box_office.cancel_event(wishes[0].event_id, organiser))
    async with worker():
        await until_recorded(connection, CANCELLED, 15)
        await until_folded(connection)
        assert await box_office.only(connection, OPEN) == 0
    ends = [stream[-1] for stream in (await judged(connection)).streams.values()]
    refunds = [end.refund_due_minor for end in ends if isinstance(end, ReservationCancelled)]
    assert (refunds, sum(isinstance(end, ReservationExpired) for end in ends)) == ([2500] * 15, 5)


async def test_events_that_are_cancelled_one_after_the_other_all_end(
    connection: Connection, commands: GroupCommit, worker: Worker
) -> None:
    async with worker():
        for number in (1, 2, 3):
            wishes = await reserved(connection, commands, 10, hold_seconds=120, paid=5)
            event = (await judged(connection)).events[wishes[0].event_id]
            await commands.submit(box_office.cancel_event(event.id, event.created.organiser_id))
            await until_recorded(connection, CANCELLED, 10 * number)


async def until_folded(connection: Connection) -> None:
    """Wait until the projections have reached the history's head."""

    async def reached() -> bool:
        head = await box_office.only(connection, "SELECT max(notification_id) FROM stored_events")
        return bool((await checkpoint.read(connection)).position >= head)

    await box_office.until(reached)


async def test_a_hold_of_a_cancelled_event_that_was_due_before_has_expired(
    clock: Clock, connection: Connection, commands: GroupCommit, worker: Worker
) -> None:
    """While no worker lives, some fall due, then the event is cancelled; others are paid."""
    wishes = await reserved_before(clock, connection, commands, 3, paid=1)
    told = await judged(connection)
    organiser = told.events[wishes[0].event_id].created.organiser_id
    await commands.submit(box_office.cancel_event(wishes[0].event_id, organiser))
    async with worker():
        await until_recorded(connection, EXPIRED, 2)
        await until_recorded(connection, CANCELLED, 1)
    told = await judged(connection)
    assert [told.types(wish.reservation_id)[-1] for wish in wishes] == [
        "ReservationCancelled",
        "ReservationExpired",
        "ReservationExpired",
    ]


async def test_projections_that_lag_double_nothing(
    database_url: str,
    clock: Clock,
    connection: Connection,
    at_work: Connection,
    commands: GroupCommit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reservation_sweep, "FOLD_PATIENCE_SECONDS", 0.01)
    held = await reserved_before(clock, connection, commands, 40)
    withdrawn = await reserved(connection, commands, 40, hold_seconds=120, paid=20)
    organiser = (await judged(connection)).events[withdrawn[0].event_id].created.organiser_id
    await commands.submit(box_office.cancel_event(withdrawn[0].event_id, organiser))
    folding = asyncio.create_task(Projector(database_url).run())
    await until_folded(connection)
    folding.cancel()
    await asyncio.wait([folding])

    async def all_due() -> bool:
        return len(await reservations_queries.due_reservations(connection, 100)) == 40

    await box_office.until(all_due)
    async with CheckpointWatcher(database_url) as watcher:
        job = ReservationSweep(commands, watcher)
        for _ in range(3):
            await job.work(at_work)
    assert len(await reservations_queries.due_reservations(connection, 100)) == 40, "the projections still lag"
    told = await judged(connection)
    assert (told.count(ReservationExpired), told.count(ReservationCancelled)) == (40, 40)
    assert all(told.types(wish.reservation_id)[1:] == ["ReservationExpired"] for wish in held)


async def test_what_is_not_due_is_left_alone(
    clock: Clock, connection: Connection, commands: GroupCommit, worker: Worker
) -> None:
    due = await reserved_before(clock, connection, commands, 5)
    later = await reserved(connection, commands, 5, hold_seconds=120)
    async with worker():
        await until_recorded(connection, EXPIRED, 5)
    told = await judged(connection)
    assert all(len(told.streams[wish.reservation_id]) == 2 for wish in due)
    assert all(len(told.streams[wish.reservation_id]) == 1 for wish in later)


async def test_a_database_that_restarts_is_survived(
    database_url: str, clock: Clock, connection: Connection, commands: GroupCommit, worker: Worker
) -> None:
    async with FaultProxy(database_url) as proxy, worker(proxy.url) as task:
        await reserved_before(clock, connection, commands, 10)
        await until_recorded(connection, EXPIRED, 10)
        await proxy.go_away()
        await reserved_before(clock, connection, commands, 10)
        await proxy.come_back()
        await until_recorded(connection, EXPIRED, 20)
        assert not task.done()
    assert (await judged(connection)).count(ReservationExpired) == 20


async def test_backends_that_are_ended_while_they_expire_double_nothing(
    database_url: str, clock: Clock, connection: Connection, commands: GroupCommit, worker: Worker
) -> None:
    wishes = await reserved_before(clock, connection, commands, 120)
    url = f"{database_url}?application_name=worker"
    async with worker(url), await psycopg.AsyncConnection.connect(database_url, autocommit=True) as superuser:
        for some in (1, 40):
            await until_recorded(connection, EXPIRED, some)
            await superuser.execute(END_OTHERS, {"mine": connection.info.backend_pid})
        await until_recorded(connection, EXPIRED, 120)
    told = await judged(connection)
    assert [len(told.streams[wish.reservation_id]) for wish in wishes] == [2] * 120


async def test_an_account_that_was_deleted_loses_its_holds(
    clock: Clock, connection: Connection, commands: GroupCommit, worker: Worker
) -> None:
    wishes = await reserved_before(clock, connection, commands, 2)
    gone: list[UUID] = [wish.actor.account_id for wish in wishes]
    await connection.execute("DELETE FROM accounts WHERE account_id = ANY(%s)", (gone,))
    async with worker():
        await until_recorded(connection, EXPIRED, 2)
    assert (await judged(connection)).count(ReservationExpired) == 2


async def test_events_that_were_cancelled_and_are_done_are_not_asked_about_again(
    database_url: str, connection: Connection, at_work: Connection, commands: GroupCommit
) -> None:
    """Of a history of years each call asks about the events cancelled since the last one."""
    wishes = await reserved(connection, commands, 3, hold_seconds=120)
    organiser = (await judged(connection)).events[wishes[0].event_id].created.organiser_id
    await commands.submit(box_office.cancel_event(wishes[0].event_id, organiser))
    folding = asyncio.create_task(Projector(database_url).run())
    async with CheckpointWatcher(database_url) as watcher:
        job = ReservationSweep(commands, watcher)
        await until_folded(connection)

        async def is_done() -> bool:
            await job.work(at_work)
            return bool(await box_office.only(connection, OPEN) == 0)

        await box_office.until(is_done)
        await job.work(at_work)
        await end(folding)
        await at_work.execute(REOPEN)
        submitted = []
        submit = commands.submit

        async def watched(command: Command) -> Outcome:
            submitted.append(command)
            return await submit(command)

        commands.submit = watched  # type: ignore[method-assign]
        await job.work(at_work)
        assert submitted == []
        await ReservationSweep(commands, watcher).work(at_work)
        assert len(submitted) == 3, "a new term asks about all"


async def test_one_reservation_that_can_not_be_ended_holds_up_no_other(
    database_url: str, clock: Clock, connection: Connection, commands: GroupCommit, worker: Worker
) -> None:
    (broken,) = await reserved_before(clock, connection, commands, 1)
    good = await reserved_before(clock, connection, commands, 5)
    folding = asyncio.create_task(Projector(database_url).run())
    await until_folded(connection)
    await end(folding)
    with psycopg.connect(database_url, options="-c search_path=tixxety", autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE stored_events SET state = '{' WHERE originator_id = %s", (broken.event_id,))
    with capture_logs() as logs:
        async with worker():
            await until_recorded(connection, EXPIRED, 5)
            await until_folded(connection)
    told = [entry["reservation"] for entry in logs if entry["event"] == "a reservation could not be ended"]
    assert told == [str(broken.reservation_id)]
    assert good
