"""A snapshot is the fold of what was recorded, no more and no less; one of another shape is as good as none."""

from collections.abc import Sequence
from copy import deepcopy
from datetime import timedelta
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from domain.commands import Command
from domain.decide import decide
from domain.decision import Read
from domain.domain_event import Aggregate
from domain.errors import Refusal
from domain.reservation import Reservation
from domain.ticketed_event import TicketedEvent
from eventstore import snapshots
from eventstore.postgres.connections import Connection
from eventstore.writing.aggregate_cache import fold, load
from eventstore.writing.group_commit import GroupCommit
from tests import box_office
from tests.domain.builders import ANN, BOB, CLEO, CONCERT, NOON, SEATED, STANDING, cancel_event, change, create
from tests.domain.given_when_then import snapshot
from tests.domain.purchase import Purchase

PURCHASES = [
    Purchase(UUID(int=0x100 + number), buyer, 1 + number % 2, (STANDING, SEATED)[number % 2])
    for number, buyer in enumerate([ANN, BOB, CLEO] * 4)
]
CHANGES: list[Command] = [
    change(total_tickets=3),
    change(capacities={STANDING.ticket_type_id: 7, SEATED.ticket_type_id: 9}),
    change(title="Night of Brass", city=None),
    change(sales_close_at=NOON + timedelta(hours=1)),
    change(max_per_buyer=2, hold_seconds=30),
    cancel_event(),
]
WISHES: list[Command] = [
    *[purchase.reserve() for purchase in PURCHASES],
    *[purchase.pay() for purchase in PURCHASES],
    *[purchase.cancel() for purchase in PURCHASES],
    *[purchase.expire() for purchase in PURCHASES],
    *CHANGES,
]
ASKED = [replace(wish, request_id=UUID(int=0x1000 + number)) for number, wish in enumerate(WISHES)]
steps = st.lists(st.tuples(st.integers(0, len(ASKED) - 1), st.integers(0, 60)), max_size=40)
types = st.sampled_from([(STANDING,), (STANDING, SEATED)])
Step = tuple[int, int]


class Office:
    """One event and its reservations, in memory."""

    def __init__(self, event: TicketedEvent, reservations: dict[UUID, Reservation]) -> None:
        self.event = event
        self.reservations = deepcopy(reservations)
        self.answers: list[object] = []

    def go_through(self, taken: Sequence[Step]) -> "Office":
        """Decide and record; each step says which command, and how many seconds after the one before."""
        for number, seconds in taken:
            command = ASKED[number]
            at = self.event.modified_on + timedelta(seconds=seconds)
            aggregates: dict[UUID, Aggregate] = {self.event.id: self.event, **self.reservations}
            try:
                decision = decide(command, Read.of(command, aggregates.get), at)
            except Refusal as refusal:
                self.answers.append((type(refusal), refusal.facts))
                continue
            self.answers.append(decision)
            for domain_event in decision.domain_events:
                stream_id = domain_event.originator_id
                if stream_id == self.event.id:
                    self.event = fold(self.event, domain_event) or self.event
                else:
                    mine = domain_event.mutate(self.reservations.get(stream_id))
                    assert isinstance(mine, Reservation)
                    self.reservations[stream_id] = mine
        return self


def fresh(ticket_types: tuple[object, ...]) -> Office:
    wish = create(ticket_types=ticket_types)
    (created,) = decide(wish, Read.of(wish, {}.get), NOON).domain_events
    event = fold(None, created)
    assert event
    return Office(event, {})


SNAPSHOT_BEFORE = """
INSERT INTO snapshots (originator_id, originator_version, shape_version, state, position)
VALUES (%(id)s, %(version)s, %(shape_version)s, %(state)s, 1)
"""
GROWN_BY = "UPDATE snapshots SET originator_version = %(version)s WHERE originator_id = %(id)s"


@settings(max_examples=60, deadline=None)
@given(types, steps, steps)
def test_a_snapshot_gives_the_event_back(
    ticket_types: tuple[object, ...], before: list[Step], afterwards: list[Step]
) -> None:
    """The same state, the same record, and the same decisions ever after."""
    office = fresh(ticket_types).go_through(before)
    restored = snapshots.unpack(office.event.version, snapshots.pack(office.event))
    assert restored.id == CONCERT
    assert snapshot(restored) == snapshot(office.event)
    assert restored.record == office.event.record
    assert snapshots.pack(restored) == snapshots.pack(office.event)

    other = Office(restored, office.reservations).go_through(afterwards)
    office.answers.clear()
    office.go_through(afterwards)
    assert other.answers == office.answers
    assert snapshot(other.event) == snapshot(office.event)


async def sold(connection: Connection, commands: GroupCommit, buyers: int) -> UUID:
    """An event with some reservations open, paid and cancelled."""
    organiser, *ids = await box_office.register(connection, buyers + 1)
    event = box_office.create(organiser, capacity=1_000, max_per_buyer=2)
    await commands.submit(event)
    wishes = [box_office.reserve(event.event_id, buyer) for buyer in ids]
    await box_office.submit_all(commands, wishes)
    await box_office.submit_all(commands, [box_office.pay(wish) for wish in wishes[::3]])
    await box_office.submit_all(commands, [box_office.cancel(wish) for wish in wishes[::2]])
    return event.event_id


async def keep(connection: Connection, event_id: UUID, position: int = 1) -> TicketedEvent:
    event = await load(connection, event_id)
    assert event
    await snapshots.keep(connection, event, position)
    return event


async def test_a_snapshot_and_the_tail_equal_the_whole_fold(
    connection: Connection, worker: Connection, commands: GroupCommit
) -> None:
    event_id = await sold(connection, commands, 20)
    kept = await keep(worker, event_id)
    (buyer,) = await box_office.register(connection, 1)
    await commands.submit(box_office.reserve(event_id, buyer))
    loaded = await load(connection, event_id)
    assert loaded
    assert loaded.version == kept.version + 1
    told = await box_office.judged_history(connection)
    assert snapshot(loaded) == snapshot(told.events[event_id])


async def test_loading_starts_at_the_snapshot(
    connection: Connection, worker: Connection, commands: GroupCommit
) -> None:
    """So it does not cost more the longer the history is: what comes before is not read at all."""
    event_id = await sold(connection, commands, 20)
    event = await load(connection, event_id)
    assert event
    event.details = replace(event.details, title="Only the snapshot says so")
    await snapshots.keep(worker, event, 1)
    loaded = await load(connection, event_id)
    assert loaded
    assert loaded.details.title == event.details.title


async def test_a_snapshot_of_another_shape_is_ignored(
    database_url: str, connection: Connection, worker: Connection, commands: GroupCommit
) -> None:
    event_id = await sold(connection, commands, 10)
    await keep(worker, event_id)
    await worker.execute("UPDATE snapshots SET shape_version = shape_version + 1, state = 'nonsense'")
    assert await snapshots.newest(connection, event_id) is None
    told = await box_office.judged_history(connection)
    assert snapshot(await load(connection, event_id)) == snapshot(told.events[event_id])
    await keep(worker, event_id)
    assert snapshot(await snapshots.newest(connection, event_id)) == snapshot(told.events[event_id])


async def test_an_older_snapshot_never_replaces_a_newer_one(
    connection: Connection, worker: Connection, commands: GroupCommit
) -> None:
    event_id = await sold(connection, commands, 4)
    old = await load(connection, event_id)
    assert old
    (buyer,) = await box_office.register(connection, 1)
    await commands.submit(box_office.reserve(event_id, buyer))
    new = await keep(worker, event_id)
    await snapshots.keep(worker, old, 99)
    newest = await snapshots.newest(connection, event_id)
    assert newest
    assert newest.version == new.version > old.version


async def test_snapshots_may_be_deleted_at_any_time(
    connection: Connection, worker: Connection, commands: GroupCommit
) -> None:
    event_id = await sold(connection, commands, 4)
    await keep(worker, event_id)
    await worker.execute("DELETE FROM snapshots")
    told = await box_office.judged_history(connection)
    assert snapshot(await load(connection, event_id)) == snapshot(told.events[event_id])


async def test_a_stream_is_worth_a_snapshot_when_it_grew_by_the_entries_of_its_last_one(
    connection: Connection, worker: Connection, commands: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = await sold(connection, commands, 40)
    event = await load(connection, event_id)
    assert event
    entries = len(event.buyers) + len(event.holds)
    monkeypatch.setattr(snapshots, "MIN_INTERVAL_VERSIONS", 5)
    assert entries > 20
    before = {"id": event_id, "version": event.version, "shape_version": snapshots.SHAPE_VERSION}
    await worker.execute(SNAPSHOT_BEFORE, before | {"state": snapshots.pack(event)})
    for grown_by, is_worth_one in ((entries // 2, False), (2 * entries, True)):
        await worker.execute(GROWN_BY, {"id": event_id, "version": event.version - grown_by})
        found = await snapshots.grown_streams(connection, 0, 10_000)
        assert found == ([event_id] if is_worth_one else [])


async def test_streams_that_grew_are_found(
    connection: Connection, worker: Connection, commands: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "MIN_INTERVAL_VERSIONS", 10)
    long = await sold(connection, commands, 20)
    await sold(connection, commands, 2)
    head = len((await box_office.judged_history(connection)).records)
    event = await load(connection, long)
    assert event
    assert await snapshots.grown_streams(connection, 0, head) == [long]
    assert await snapshots.grown_streams(connection, head, head) == []
    await snapshots.keep(worker, event, head)
    assert await snapshots.grown_streams(connection, 0, head) == []
    assert await snapshots.looked_through(connection) == head
