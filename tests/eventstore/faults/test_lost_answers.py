"""No answer before COMMIT, and none lost after it: connections cut, backends ended, locks held, the database away."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest

from domain.commands import ChangeEvent, Command, CreateEvent
from domain.errors import LimitPerBuyer, SoldOut
from domain.event_facts import TicketsHeld
from eventstore.errors import DatabaseAway, EventBusy
from eventstore.postgres import connections
from eventstore.postgres.connections import Connection, connect
from eventstore.reading import head
from eventstore.writing import group_commit, group_writer
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from tests import box_office
from tests.fault_proxy import FaultProxy

END_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %(mine)s)
"""


class Behind(NamedTuple):
    """A group commit that reaches PostgreSQL through the proxy, and an event it knows."""

    proxy: FaultProxy
    commands: GroupCommit
    event: CreateEvent
    buyers: list[UUID]

    @property
    def event_id(self) -> UUID:
        return self.event.event_id


@pytest.fixture
async def behind(database_url: str, connection: Connection) -> AsyncIterator[Behind]:
    organiser, *buyers = await box_office.register(connection, 31)
    event = box_office.create(organiser)
    async with FaultProxy(database_url) as proxy, GroupCommit(proxy.url) as commands:
        await commands.submit(event)
        yield Behind(proxy, commands, event, buyers)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long for a connection or an answer; to be asked for before the commands that it is for."""
    monkeypatch.setattr(connections, "POOL_SECONDS", 1)
    monkeypatch.setattr(group_writer, "TRIP_SECONDS", 1)


async def test_no_answer_leaves_before_its_commit(behind: Behind, connection: Connection) -> None:
    wishes = [box_office.reserve(behind.event_id, buyer) for buyer in behind.buyers[:3]]
    asked: list[Command] = [
        *wishes,
        box_office.reserve(behind.event_id, behind.buyers[3], quantity=101),
        behind.event,
    ]
    commit = behind.proxy.hold_before_commit()
    waiting = [asyncio.create_task(behind.commands.submit(command)) for command in asked]
    await asyncio.wait_for(commit.arrived.wait(), 10)
    assert not any(task.done() for task in waiting), "nor a refusal or a replay"
    assert await head(connection) == 1
    commit.let_go.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert box_office.count(answers, Outcome) == 4
    assert await head(connection) == 7


async def test_no_answer_leaves_before_the_word_that_it_is_committed(behind: Behind, connection: Connection) -> None:
    commit = behind.proxy.hold_after_commit()
    waiting = asyncio.create_task(behind.commands.submit(box_office.reserve(behind.event_id, behind.buyers[0])))
    await asyncio.wait_for(commit.arrived.wait(), 10)
    assert await head(connection) == 3
    assert not waiting.done()
    commit.let_go.set()
    assert (await waiting).position == 3


@pytest.mark.parametrize("committed", [False, True])
async def test_a_connection_cut_around_commit_is_healed_by_one_retry(
    behind: Behind, connection: Connection, committed: bool
) -> None:
    before = behind.proxy.commits
    if committed:
        behind.proxy.cut_after_commit()
    else:
        behind.proxy.cut_before_commit()
    wishes = [box_office.reserve(behind.event_id, buyer) for buyer in behind.buyers[:10]]
    answers = await box_office.submit_all(behind.commands, wishes)
    assert behind.proxy.commits == before + 2
    for number, (wish, answer) in enumerate(zip(wishes, answers, strict=True)):
        assert isinstance(answer, Outcome)
        assert box_office.reservation(answer).placed.originator_id == wish.reservation_id
        assert answer.position == 3 + 2 * number
        assert not answer.replayed, "it is its own work that it found"
    assert len((await box_office.judged_history(connection)).records) == 21


async def test_every_command_finds_its_own_work_after_a_lost_answer(behind: Behind, connection: Connection) -> None:
    organiser, ann, bob, cleo = behind.event.actor.account_id, *behind.buyers[:3]
    anns, bobs, cleos = (box_office.reserve(behind.event_id, buyer) for buyer in (ann, bob, cleo))
    await box_office.submit_all(behind.commands, [anns, bobs])
    behind.proxy.cut_after_commit()
    asked: list[Command] = [
        box_office.create(organiser),
        box_office.change(behind.event_id, organiser, total_tickets=90),
        box_office.pay(anns, "r1"),
        box_office.cancel(bobs),
        cleos,
        box_office.cancel_event(behind.event_id, organiser),
    ]
    answers = await box_office.submit_all(behind.commands, asked)
    outcomes = [answer for answer in answers if isinstance(answer, Outcome)]
    assert len(outcomes) == 6, answers
    assert not any(outcome.replayed for outcome in outcomes)
    told = await box_office.judged_history(connection)
    assert len(told.records) == 5 + 1 + 1 + 2 + 2 + 2 + 1
    for command, outcome in zip(asked, outcomes, strict=True):
        if not isinstance(command, ChangeEvent):
            mine = [r.command_position for r in told.records if r.domain_event.request_id == command.request_id]
            assert outcome.position == mine[-1]
    assert [box_office.reservation(outcome).status for outcome in outcomes[2:5]] == ["paid", "cancelled", "reserved"]


async def test_a_key_is_no_replay_for_the_one_who_lost_its_answer(behind: Behind, connection: Connection) -> None:
    wish = box_office.reserve(behind.event_id, behind.buyers[0], idempotency=box_office.key("k"))
    behind.proxy.cut_after_commit()
    assert not (await behind.commands.submit(wish)).replayed
    assert await head(connection) == 3


async def test_a_database_that_fails_twice_is_away_and_the_retry_of_the_client_finds_the_work(
    behind: Behind, connection: Connection
) -> None:
    behind.proxy.cut_after_commit()
    behind.proxy.cut_after_commit()
    key = box_office.key("k")
    wish = box_office.reserve(behind.event_id, behind.buyers[0], idempotency=key)
    with pytest.raises(DatabaseAway):
        await behind.commands.submit(wish)
    assert await head(connection) == 3
    again = box_office.reserve(behind.event_id, behind.buyers[0], idempotency=key, reservation_id=wish.reservation_id)
    outcome = await behind.commands.submit(again)
    assert (outcome.position, outcome.replayed) == (3, True)
    assert await head(connection) == 3


async def test_backends_that_are_ended_lose_nothing_that_was_acknowledged(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    organiser, *buyers = await box_office.register(connection, 301)
    event = box_office.create(organiser, capacity=200)
    await commands.submit(event)
    wishes = [box_office.reserve(event.event_id, buyer) for buyer in buyers]
    answers: list[Outcome | BaseException] = []
    ended = 0
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as superuser:
        for number in range(10):
            sending = asyncio.create_task(box_office.submit_all(commands, wishes[number::10]))
            await asyncio.sleep(0)
            ended += await box_office.only(superuser, END_OTHERS, mine=connection.info.backend_pid)
            answers += await sending
    assert ended >= 5
    told = await box_office.judged_history(connection)
    acknowledged = {box_office.reservation(a).placed.originator_id for a in answers if isinstance(a, Outcome)}
    assert acknowledged <= told.streams.keys()
    assert box_office.count(answers, Outcome | SoldOut | DatabaseAway) == 300, answers

    async def sold_out() -> bool:
        again = await box_office.submit_all(commands, [box_office.reserve(event.event_id, buyer) for buyer in buyers])
        return box_office.count(again, SoldOut | LimitPerBuyer) == 300

    await box_office.until(sold_out)
    assert (await box_office.judged_history(connection)).count(TicketsHeld) == 200


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_is_away_is_told_and_found_again(behind: Behind) -> None:
    unknown = box_office.reserve(UUID(int=5), behind.buyers[0])
    wishes = [box_office.reserve(behind.event_id, buyer) for buyer in behind.buyers[:20]]
    await behind.proxy.go_away()
    async with asyncio.timeout(20):
        answers = await box_office.submit_all(behind.commands, [*wishes, unknown])
        assert box_office.count(answers, DatabaseAway) == 21
        with pytest.raises(DatabaseAway):
            await behind.commands.event_of(unknown.reservation_id)
    await behind.proxy.come_back()
    answers = await box_office.submit_all(behind.commands, wishes)
    assert box_office.count(answers, Outcome) == 20

    async def knows_again() -> bool:
        (answer,) = await box_office.submit_all(behind.commands, [unknown])
        return not isinstance(answer, DatabaseAway)

    assert await box_office.until(knows_again)


@pytest.mark.usefixtures("impatient")
async def test_the_events_of_so_many_reservations_are_remembered_and_no_more(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered is answered without the database."""
    monkeypatch.setattr(group_commit, "REMEMBERED_RESERVATIONS", 2)
    wishes = [box_office.reserve(behind.event_id, buyer) for buyer in behind.buyers[:3]]
    await box_office.submit_all(behind.commands, wishes)
    for wish in wishes:
        assert await behind.commands.event_of(wish.reservation_id) == behind.event_id
    await behind.proxy.go_away()
    for wish in wishes[1:]:
        assert await behind.commands.event_of(wish.reservation_id) == behind.event_id
    with pytest.raises(DatabaseAway):
        await behind.commands.event_of(wishes[0].reservation_id)


async def test_starting_and_ending_need_no_database(database_url: str) -> None:
    async with FaultProxy(database_url) as proxy:
        await proxy.go_away()
        async with asyncio.timeout(20), GroupCommit(proxy.url):
            pass


async def test_an_event_that_is_locked_for_too_long_holds_up_its_group_alone(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(group_writer.SETTINGS, "lock_timeout", "100ms")
    monkeypatch.setattr(group_commit, "BUSY_SECONDS", 0.3)
    organiser, *buyers = await box_office.register(connection, 5)
    event, other = box_office.create(organiser), box_office.create(organiser)
    async with GroupCommit(database_url) as commands:
        await box_office.submit_all(commands, [event, other])
        await box_office.lock_event(connection, event.event_id)
        wishes = [box_office.reserve(event.event_id, buyer) for buyer in buyers]
        answers = await box_office.submit_all(commands, wishes)
        assert box_office.count(answers, EventBusy) == 4
        assert (await commands.submit(box_office.reserve(other.event_id, buyers[0]))).position == 4
        await box_office.unlock(connection)
        answers = await box_office.submit_all(commands, wishes)
        assert box_office.count(answers, Outcome) == 4


async def test_an_event_that_is_locked_for_too_long_fails_no_neighbour_in_its_group(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(group_writer.SETTINGS, "lock_timeout", "100ms")
    monkeypatch.setattr(group_commit, "BUSY_SECONDS", 0.3)
    organiser, *buyers = await box_office.register(connection, 9)
    event, other = box_office.create(organiser), box_office.create(organiser)
    async with GroupCommit(database_url) as commands:
        await box_office.submit_all(commands, [event, other])
        await box_office.lock_event(connection, event.event_id)
        events = [event, other] * 4
        wishes = [box_office.reserve(e.event_id, buyer) for e, buyer in zip(events, buyers, strict=True)]
        answers = await box_office.submit_all(commands, wishes)
    assert [type(answer) for answer in answers] == [EventBusy, Outcome] * 4
    assert len((await box_office.judged_history(connection)).records) == 2 + 8


async def test_a_lock_that_does_not_come_on_the_second_try_leaves_the_outcome_unknown(
    behind: Behind, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(group_writer.SETTINGS, "lock_timeout", "100ms")
    monkeypatch.setattr(group_commit, "BUSY_SECONDS", 0.3)
    commit = behind.proxy.hold_before_commit()
    behind.proxy.cut_after_commit()
    wish = asyncio.create_task(behind.commands.submit(box_office.reserve(behind.event_id, behind.buyers[0])))
    await asyncio.wait_for(commit.arrived.wait(), 10)
    await connection.execute("SET lock_timeout = 0")
    locking = asyncio.create_task(box_office.lock_event(connection, behind.event_id))
    commit.let_go.set()
    await locking
    with pytest.raises(DatabaseAway):
        await wish
    await box_office.unlock(connection)
    assert await head(connection) == 3, "it was recorded, so it was right not to say that it was not"


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_never_answers_is_away(behind: Behind) -> None:
    first, second = behind.proxy.hold_before_commit(), behind.proxy.hold_before_commit()
    try:
        async with asyncio.timeout(20):
            with pytest.raises(DatabaseAway):
                await behind.commands.submit(box_office.reserve(behind.event_id, behind.buyers[0]))
        assert first.arrived.is_set()
    finally:
        first.let_go.set()
        second.let_go.set()


async def test_a_frozen_process_does_not_keep_an_event(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser)
    await commands.submit(event)
    frozen = await connect(database_url, idle_in_transaction_session_timeout="200ms")
    try:
        await frozen.execute("BEGIN")
        await frozen.execute("SELECT lock_streams(%s)", ([frozen.box_office.stream_key(event.event_id)],))
        outcome = await commands.submit(box_office.reserve(event.event_id, buyer))
    finally:
        await frozen.close()
    assert outcome.position == 3


async def test_nothing_is_inherited_that_would_lose_a_promise(database_url: str) -> None:
    unsafe = f"{database_url}?options=-csynchronous_commit%3Doff%20-clock_timeout%3D0%20-ctimezone%3DAsia/Tokyo"
    wanted = {
        "synchronous_commit": "on",
        "transaction_isolation": "read committed",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "2s",
        "role": "tixxety_app",
        "timezone": "UTC",
    }
    unsafe += "%20-cdefault_transaction_isolation%3Dserializable"
    pool = connections.pool(unsafe, 1)
    async with await connect(unsafe) as alone, pool, pool.connection() as pooled:
        for connection in (alone, pooled):
            for name, value in wanted.items():
                assert await box_office.only(connection, "SELECT current_setting(%(name)s)", name=name) == value
