"""Payment and expiry race at the deadline: exactly one wins, a thousand times."""

import asyncio
import random
from collections import Counter
from uuid import UUID

from domain.commands import ReserveTickets
from domain.errors import HoldExpired
from domain.reservation import ReservationExpired, ReservationPaid
from eventstore.postgres.connections import Connection
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from tests import box_office

BATCHES, RESERVATIONS = 4, 250
# So many race at a time; the first lot long before the deadline, the last one after it, the others around it.
LOT = 10
AHEAD_SECONDS = 0.05
LEFT = "SELECT extract(epoch FROM %(deadline)s - clock_timestamp())::float8"


async def test_exactly_one_of_payment_and_expiry_wins(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    won: Counter[str] = Counter()
    async with GroupCommit(database_url) as others:
        for number in range(BATCHES):
            rivals = [commands, others] if number % 2 else [others, commands]
            wishes = await race(connection, *rivals)
            told = await box_office.judged_history(connection)
            outcomes = [tuple(told.types(wish.reservation_id)) for wish in wishes]
            assert set(outcomes) <= {
                ("ReservationPlaced", "ReservationPaid"),
                ("ReservationPlaced", "ReservationExpired"),
            }
            counted = Counter(outcome[1] for outcome in outcomes)
            assert event_counts(told, wishes[0].event_id) == (0, counted["ReservationPaid"])
            won += counted
    assert won.total() == BATCHES * RESERVATIONS == 1_000
    assert min(won["ReservationPaid"], won["ReservationExpired"]) >= BATCHES * LOT
    in_time(told)


async def race(connection: Connection, payers: GroupCommit, expirers: GroupCommit) -> list[ReserveTickets]:
    """Reserve, then pay and expire each of them at the same moment, lot by lot across the deadline."""
    organiser, *buyers = await box_office.register(connection, RESERVATIONS + 1)
    event = box_office.create(organiser, capacity=RESERVATIONS, hold_seconds=1)
    await payers.submit(event)
    wishes = [box_office.reserve(event.event_id, buyer) for buyer in buyers]
    placed = await box_office.submit_all(payers, wishes)
    assert box_office.count(placed, Outcome) == RESERVATIONS
    deadline = max(box_office.reservation(a).placed.hold_expires_at for a in placed if isinstance(a, Outcome))

    async def is_near() -> bool:
        return bool(await box_office.only(connection, LEFT, deadline=deadline) < AHEAD_SECONDS)

    async def is_over() -> bool:
        return bool(await box_office.only(connection, LEFT, deadline=deadline) <= 0)

    lots = [wishes[start : start + LOT] for start in range(0, RESERVATIONS, LOT)]
    await at_once(payers, expirers, lots[0])
    await box_office.until(is_near)
    for lot in lots[1:-1]:
        await at_once(payers, expirers, lot)
    await box_office.until(is_over)
    await at_once(payers, expirers, lots[-1])
    # Whoever asked to expire a hold an instant too early, and to pay it an instant too late, has changed nothing.
    await box_office.submit_all(expirers, [box_office.expire(wish) for wish in wishes])
    return wishes


async def at_once(payers: GroupCommit, expirers: GroupCommit, lot: list[ReserveTickets]) -> None:
    """Pay and expire each of them, in any order."""
    asked = [payers.submit(box_office.pay(wish)) for wish in lot]
    asked += [expirers.submit(box_office.expire(wish)) for wish in lot]
    random.shuffle(asked)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert box_office.count(answers, Outcome | HoldExpired) == 2 * len(lot), answers


def event_counts(told: box_office.History, event_id: UUID) -> tuple[int, int]:
    """How many tickets of the event are held and sold."""
    (stock,) = told.events[event_id].stock.values()
    return stock.held, stock.sold


def in_time(told: box_office.History) -> None:
    """No payment at or after the deadline, no expiry before it."""
    for record in told.records:
        recorded = record.domain_event
        if isinstance(recorded, ReservationPaid | ReservationExpired):
            placed = told.streams[recorded.originator_id][0]
            hold_expires_at = getattr(placed, "hold_expires_at", None)
            assert hold_expires_at
            assert isinstance(recorded, ReservationExpired) is (recorded.timestamp >= hold_expires_at)
