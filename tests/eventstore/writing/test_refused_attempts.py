"""Refused attempts are kept with what they were decided on, beside the history and bounded."""

from collections import Counter
from types import SimpleNamespace
from uuid import UUID, uuid4

import msgspec
import pytest

from domain.errors import (
    CapacityBelowTaken,
    EventNotFound,
    HoldExpired,
    InvalidRequest,
    LimitPerBuyer,
    Refusal,
    SoldOut,
)
from domain.event_facts import (
    CapacityChanged,
    EventCreated,
    TicketsHeld,
    TicketsReleased,
    TicketsSold,
)
from eventstore import reading
from eventstore.postgres.connections import Connection
from eventstore.postgres.round_trips import Trips
from eventstore.writing import refused_attempts
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.refused_attempts import KEEP, KEPT_A_MINUTE, Keeping, Refusals, RefusedAttempt
from tests import box_office
from tests.fault_proxy import FaultProxy

MANY = 1_000
COUNT = "SELECT count(*) FROM refusals"
MAKE_OLDER = """
UPDATE refused_together SET refused_at = refused_at - make_interval(days => %(days)s)
WHERE account_ids = ARRAY[%(account_id)s::uuid]
"""


async def kept(connection: Connection) -> list[RefusedAttempt]:
    """All that were kept, in order."""
    rows = await (await connection.execute("SELECT DISTINCT event_id, account_id FROM refusals")).fetchall()
    attempts = [attempt for row in rows for attempt in await refused_attempts.of_buyer(connection, *row, MANY)]
    return sorted(attempts, key=lambda attempt: (attempt.position, attempt.refused_at))


async def test_a_refusal_is_kept_with_who_what_why_and_the_counts(
    connection: Connection, commands: GroupCommit
) -> None:
    organiser, first, second = await box_office.register(connection, 3)
    event = box_office.create(organiser, capacity=2, max_per_buyer=2)
    await commands.submit(event)
    sold = box_office.reserve(event.event_id, first)
    await commands.submit(sold)
    await commands.submit(box_office.pay(sold))
    wish = box_office.reserve(event.event_id, second, quantity=2)
    with pytest.raises(SoldOut):
        await commands.submit(wish)
    (attempt,) = await kept(connection)
    (offer,) = event.ticket_types
    assert attempt == RefusedAttempt(
        request_id=wish.request_id,
        refused_at=attempt.refused_at,
        account_id=second,
        command="ReserveTickets",
        event_id=event.event_id,
        reservation_id=None,
        ticket_type_id=offer.ticket_type_id,
        quantity=2,
        code="sold-out",
        facts='{"available":1,"next_hold_ends_at":null}',
        capacity=2,
        reserved=0,
        paid=1,
        position=5,
        last_kept=False,
        withheld=0,
    )


async def test_what_was_about_a_reservation_says_which(connection: Connection, commands: GroupCommit) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser)
    await commands.submit(event)
    wish = box_office.reserve(event.event_id, buyer)
    await commands.submit(wish)
    await commands.submit(box_office.cancel(wish))
    with pytest.raises(Refusal):
        await commands.submit(box_office.pay(wish))
    (attempt,) = await kept(connection)
    assert (attempt.command, attempt.reservation_id, attempt.code) == (
        "PayReservation",
        wish.reservation_id,
        "not-payable",
    )


async def test_refusals_alone_write_no_position(connection: Connection, commands: GroupCommit) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser, capacity=1)
    await commands.submit(event)
    await commands.submit(box_office.reserve(event.event_id, buyer))
    head = await reading.head(connection)
    wishes = [box_office.reserve(event.event_id, buyer) for _ in range(5)]
    answers = await box_office.submit_all(commands, [*wishes, box_office.reserve(uuid4(), organiser)])
    assert (box_office.count(answers, LimitPerBuyer), box_office.count(answers, EventNotFound)) == (5, 1)
    assert await reading.head(connection) == head
    assert {attempt.position for attempt in await kept(connection)} == {head}


async def test_each_was_decided_on_the_counts_at_its_position(connection: Connection, commands: GroupCommit) -> None:
    """Some in groups with accepted ones before and after them, some alone."""
    organiser, *buyers = await box_office.register(connection, 60)
    event = box_office.create(organiser, capacity=20, max_per_buyer=2)
    await commands.submit(event)
    for _ in range(3):
        wishes = [box_office.reserve(event.event_id, buyer, quantity=1 + n % 2) for n, buyer in enumerate(buyers)]
        answers = await box_office.submit_all(commands, wishes)
        accepted = [wish for wish, answer in zip(wishes, answers, strict=True) if not isinstance(answer, Refusal)]
        await box_office.submit_all(commands, [box_office.cancel(wish) for wish in accepted[::2]])
        await box_office.submit_all(commands, [box_office.pay(wish) for wish in accepted[1::3]])
    attempts = await kept(connection)
    assert {attempt.code for attempt in attempts} >= {"sold-out", "limit-per-buyer"}
    assert len({attempt.position for attempt in attempts}) > 5
    recorded = (await box_office.judged_history(connection)).records
    for attempt in attempts:
        counts = [0, 0, 0]
        for domain_event in (one.domain_event for one in recorded if one.position <= attempt.position):
            match domain_event:
                case EventCreated(ticket_types=(offer,)):
                    counts[0] = offer.capacity
                case CapacityChanged(capacity=capacity):
                    counts[0] = capacity
                case TicketsHeld(quantity=quantity):
                    counts[1] += quantity
                case TicketsSold(quantity=quantity):
                    counts[1:] = counts[1] - quantity, counts[2] + quantity
                case TicketsReleased(quantity=quantity, was=was):
                    counts[1 if was == "held" else 2] -= quantity
        assert [attempt.capacity, attempt.reserved, attempt.paid] == counts, attempt


async def test_an_account_fills_no_more_than_ten_rows_a_minute(connection: Connection, commands: GroupCommit) -> None:
    organiser, program, person = await box_office.register(connection, 3)
    event = box_office.create(organiser, capacity=1)
    await commands.submit(event)
    await commands.submit(box_office.reserve(event.event_id, organiser))
    # Should a minute end in between, the program gets its share of the next one as well.
    wishes = [box_office.reserve(event.event_id, program) for _ in range(300)]
    answers = await box_office.submit_all(commands, [*wishes, box_office.reserve(event.event_id, person)])
    assert box_office.count(answers, SoldOut) == 301
    assert len(await refused_attempts.of_buyer(connection, event.event_id, person, MANY)) == 1
    attempts = await refused_attempts.of_buyer(connection, event.event_id, program, MANY)
    last = [attempt for attempt in attempts if attempt.last_kept]
    assert len(attempts) == KEPT_A_MINUTE * len(last)
    assert 1 <= len(last) <= 2


def test_each_minute_counts_anew_and_forgets_who_came_in_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 600.0
    monkeypatch.setattr(refused_attempts, "time", SimpleNamespace(monotonic=lambda: seconds))
    keeping, (ann, bob) = Keeping(), (uuid4(), uuid4())
    assert (keeping.kept(ann), keeping.kept(bob)) == (0, 0)
    keeping.count(Counter({ann: 3, bob: 1}))
    seconds = 659.9
    assert (keeping.kept(ann), keeping.kept(bob)) == (3, 1)
    seconds = 660.0
    assert (keeping.kept(ann), keeping.kept(bob)) == (0, 0)


async def test_who_has_no_account_leaves_nothing(connection: Connection, commands: GroupCommit) -> None:
    (organiser,) = await box_office.register(connection, 1)
    event = box_office.create(organiser)
    await commands.submit(event)
    answers = await box_office.submit_all(commands, [box_office.reserve(event.event_id, uuid4())])
    assert box_office.count(answers, Refusal) == 1
    assert await box_office.only(connection, COUNT) == 0


async def test_a_group_that_was_tried_twice_keeps_a_refusal_once(connection: Connection, trips: Trips) -> None:
    account_id, event_id = uuid4(), uuid4()
    now = await box_office.only(connection, "SELECT clock_timestamp()")
    refusals = Refusals(Keeping())
    refusals.add(box_office.reserve(event_id, account_id), EventNotFound(), None, 0)
    for _ in range(2):
        await trips.go((KEEP, refusals.parameters(now, 0)))
    assert len(await refused_attempts.of_buyer(connection, event_id, account_id, MANY)) == 1


def test_the_system_is_not_told_no() -> None:
    refusals = Refusals(Keeping())
    refusals.add(box_office.expire(box_office.reserve(uuid4(), uuid4())), EventNotFound(), None, 0)
    assert not refusals


async def test_those_refused_alike_share_a_row(connection: Connection, commands: GroupCommit) -> None:
    organiser, *buyers = await box_office.register(connection, 101)
    event = box_office.create(organiser, capacity=1)
    await commands.submit(event)
    await commands.submit(box_office.reserve(event.event_id, organiser))
    wishes = [box_office.reserve(event.event_id, buyer) for buyer in buyers]
    answers = await box_office.submit_all(commands, wishes)
    assert box_office.count(answers, SoldOut) == 100
    assert {attempt.request_id for attempt in await kept(connection)} == {wish.request_id for wish in wishes}
    assert await box_office.only(connection, "SELECT count(*) FROM refused_together") <= 3


async def test_old_ones_are_forgotten_and_the_history_stays(connection: Connection, commands: GroupCommit) -> None:
    organiser, old, young = await box_office.register(connection, 3)
    event = box_office.create(organiser, capacity=1)
    await commands.submit(event)
    await commands.submit(box_office.reserve(event.event_id, organiser))
    for buyer in (old, young):
        await box_office.submit_all(commands, [box_office.reserve(event.event_id, buyer)])
    head = await reading.head(connection)
    await connection.execute("RESET ROLE")
    for account_id, days in ((old, 30), (young, 29)):
        await connection.execute(MAKE_OLDER, {"days": days, "account_id": account_id})
    assert await refused_attempts.forget(connection, 30) == 1
    assert await refused_attempts.forget(connection, 30) == 0
    assert [attempt.account_id for attempt in await kept(connection)] == [young]
    assert await reading.head(connection) == head


async def test_the_facts_of_every_refusal_can_be_stored(connection: Connection, trips: Trips) -> None:
    told = [
        SoldOut(0),
        SoldOut(0, box_office.TOMORROW),
        LimitPerBuyer(1, 1, None),
        LimitPerBuyer(2, 1, UUID(int=3)),
        EventNotFound(),
    ]
    told += [HoldExpired(box_office.TOMORROW), InvalidRequest("title", 'is "odd"'), CapacityBelowTaken(UUID(int=4), 7)]
    event_id, account_id = uuid4(), uuid4()
    refusals = Refusals(Keeping())
    for refusal in told:
        refusals.add(box_office.reserve(event_id, account_id), refusal, None, 0)
    await trips.go((KEEP, refusals.parameters(box_office.TOMORROW, 0)))
    attempts = await refused_attempts.of_buyer(connection, event_id, account_id, MANY)
    assert {attempt.code: set(msgspec.json.decode(attempt.facts)) for attempt in attempts} == {
        refusal.code: set(refusal.facts) for refusal in told
    }


async def test_what_a_group_that_was_rolled_back_has_refused_does_not_count(
    database_url: str, connection: Connection
) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser, max_per_buyer=1)
    async with FaultProxy(database_url) as proxy, GroupCommit(proxy.url) as commands:
        await commands.submit(event)
        await commands.submit(box_office.reserve(event.event_id, buyer))
        proxy.cut_before_commit()
        wishes = [box_office.reserve(event.event_id, buyer) for _ in range(KEPT_A_MINUTE)]
        answers = await box_office.submit_all(commands, wishes)
        assert box_office.count(answers, LimitPerBuyer) == KEPT_A_MINUTE
    assert [attempt.last_kept for attempt in await kept(connection)].count(True) == 1
    assert await box_office.only(connection, COUNT) == KEPT_A_MINUTE
