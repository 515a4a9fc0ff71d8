"""Due holds that a command needs are taken back in bounded steps, each hold by a command of its own."""

from uuid import UUID

import pytest

from domain import due_holds
from domain.errors import CapacityBelowTaken, SoldOut
from domain.event_facts import CapacityChanged, TicketsReleased
from eventstore.postgres.connections import Connection
from eventstore.writing import group_transaction
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from tests import box_office

HOLDS = 60
LARGEST_COMMAND = """
SELECT max(rows) FROM (SELECT count(*) AS rows FROM stored_events GROUP BY command_position) AS command
"""
LARGEST_GROUP = "SELECT max(rows) FROM (SELECT count(*) AS rows FROM stored_events GROUP BY xmin) AS transaction"


@pytest.fixture
async def event_id(connection: Connection, commands: GroupCommit, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """An event all of whose tickets are held, by holds that are due; one command may take ten of them back."""
    monkeypatch.setattr(due_holds, "MOST_DUE_HOLDS", 10)
    monkeypatch.setattr(group_transaction, "GROUP_ROWS", 50)
    organiser, *buyers = await box_office.register(connection, HOLDS + 1)
    event = box_office.create(organiser, capacity=HOLDS, max_per_buyer=2 * HOLDS, hold_seconds=1)
    await commands.submit(event)
    held = await box_office.submit_all(commands, [box_office.reserve(event.event_id, buyer) for buyer in buyers])
    deadline = max(box_office.reservation(each).placed.hold_expires_at for each in held if isinstance(each, Outcome))
    await box_office.until(lambda: box_office.only(connection, "SELECT clock_timestamp() > %(at)s", at=deadline))
    return event.event_id


async def test_a_buyer_gets_all_that_is_due(connection: Connection, commands: GroupCommit, event_id: UUID) -> None:
    (buyer,) = await box_office.register(connection, 1)
    with pytest.raises(SoldOut):
        await commands.submit(box_office.reserve(event_id, buyer, quantity=HOLDS + 1))
    assert isinstance(await commands.submit(box_office.reserve(event_id, buyer, quantity=HOLDS)), Outcome)
    told = await box_office.judged_history(connection)
    assert told.count(TicketsReleased) == HOLDS
    # Ten in the buyer's own command at the most, with the two of its own.
    assert await box_office.only(connection, LARGEST_COMMAND) <= 22
    assert await box_office.only(connection, LARGEST_GROUP) <= max(70, 2 * HOLDS)


async def test_an_organiser_lowers_the_capacity_below_what_is_due(
    connection: Connection, commands: GroupCommit, event_id: UUID
) -> None:
    event = (await box_office.judged_history(connection)).events[event_id]
    organiser = event.created.organiser_id
    lowered = box_office.change(event_id, organiser, total_tickets=1)
    assert isinstance(await commands.submit(lowered), Outcome)
    told = await box_office.judged_history(connection)
    assert (told.count(TicketsReleased), told.count(CapacityChanged)) == (HOLDS - 1, 1)
    assert await box_office.only(connection, LARGEST_COMMAND) <= 21


async def test_buyers_do_not_wait_until_all_is_taken_back(
    connection: Connection, commands: GroupCommit, event_id: UUID
) -> None:
    many, *few = await box_office.register(connection, 11)
    wishes = [box_office.reserve(event_id, many, quantity=HOLDS - 10)]
    wishes += [box_office.reserve(event_id, buyer) for buyer in few]
    answers = await box_office.submit_all(commands, wishes)
    assert box_office.count(answers, Outcome) == 11, answers
    told = await box_office.judged_history(connection)
    assert told.events[event_id].tickets_of(many) == HOLDS - 10


async def test_what_is_still_held_is_not_taken_back_for_a_refusal(
    connection: Connection, commands: GroupCommit, event_id: UUID
) -> None:
    event = (await box_office.judged_history(connection)).events[event_id]
    (buyer,) = await box_office.register(connection, 1)
    bought = box_office.reserve(event_id, buyer, quantity=2)
    await commands.submit(bought)
    await commands.submit(box_office.pay(bought))
    before = (await box_office.judged_history(connection)).count(TicketsReleased)
    with pytest.raises(CapacityBelowTaken):
        await commands.submit(box_office.change(event_id, event.created.organiser_id, total_tickets=1))
    assert (await box_office.judged_history(connection)).count(TicketsReleased) == before
