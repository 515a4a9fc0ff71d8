"""Whoever sees some of the checkpoints, or all, knows of every event that changed since, and of few that did not."""

from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.postgres.connections import WORKER_ROLE, connect, connect_as_owner
from projections import checkpoint, recent_changes
from projections.checkpoint import Checkpoint
from projections.projector.batch_transaction import Batches
from projections.recent_changes import ChangedEvents, RecentChanges
from tests.projections.histories import BoxOffice, append

EVENTS = [UUID(int=number) for number in range(6)]
LAST_CHANGES = """
SELECT event_id, max(position) FROM (
    SELECT event_id, position FROM events UNION ALL SELECT event_id, position FROM ticket_types) AS changed
GROUP BY event_id
"""
BATCHES = st.lists(st.tuples(st.sets(st.sampled_from(EVENTS)), st.booleans(), st.booleans()), min_size=1, max_size=30)


def seen(position: int, recent: dict[str, object] | None, generation: int = 7) -> Checkpoint:
    return Checkpoint(position, 3, generation, datetime.now(UTC), recent)


@given(BATCHES)
@pytest.mark.parametrize("named_max", [2, 100])
def test_nothing_that_changed_is_missed(named_max: int, batches: list[tuple[set[UUID], bool, bool]]) -> None:
    """`batches` says of each which events it changed, whether it is looked at, and whether a new projector begins."""
    written, known = RecentChanges(0), ChangedEvents()
    last_changes = dict.fromkeys(EVENTS, 0)
    known_at, positions = -1, [0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent_changes, "NAMED_MAX", named_max)
        for (changed, is_looked_at, begins_anew), position in zip(batches, count(1), strict=False):
            if begins_anew:
                written = RecentChanges(position - 1)
            last_changes.update(dict.fromkeys(changed, position))
            recent = written.with_batch(dict.fromkeys(changed, position), position - 1, position)
            positions.append(position)
            if not is_looked_at:
                continue
            known.learn(seen(position, recent))
            known_at = position
            for read_at in positions:
                for event_id in EVENTS:
                    assert known.since(read_at, event_id) >= (last_changes[event_id] > read_at)
                assert known.since(read_at) >= (max(last_changes.values()) > read_at)
            assert not any(known.since(known_at, event_id) for event_id in EVENTS)


def test_an_event_that_did_not_change_is_not_named() -> None:
    written, known = RecentChanges(0), ChangedEvents()
    known.learn(seen(0, None))
    for position in range(1, 2_000):
        recent = written.with_batch({EVENTS[0]: position}, position - 1, position)
        if position % 100 == 0:
            known.learn(seen(position, recent))
            assert (known.since(position - 1, EVENTS[0]), known.since(1, EVENTS[1])) == (True, False)


def test_other_tables_or_an_older_position_make_all_unknown() -> None:
    known = ChangedEvents()
    assert known.since(10**9, EVENTS[0])
    for generation, position, unknown_at, epoch in ((7, 10, 9, 2), (8, 10, 9, 3), (8, 5, 4, 4), (8, 7, 6, 4)):
        known.learn(seen(position, None, generation))
        assert known.since(unknown_at, EVENTS[0])
        assert not known.since(position, EVENTS[0])
        assert known.epoch == epoch
    known.forget()
    assert known.epoch == 5
    assert known.since(7)


async def test_the_projector_names_what_it_changed(database_url: str) -> None:
    office, known = BoxOffice(3), ChangedEvents()
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        known.learn(await checkpoint.read(connection))
        batches = Batches(connection, await checkpoint.read(connection))
        for _ in range(5):
            before = batches.position
            await append(connection, office.commands(10))
            await batches.fold_next()
            known.learn(await checkpoint.read(connection))
            for event_id, position in await (await connection.execute(LAST_CHANGES)).fetchall():
                assert known.since(before, event_id) == (position > before)


async def test_tables_of_the_version_before_are_read_without_it(database_url: str) -> None:
    async with await connect_as_owner(database_url) as connection:
        await connection.execute("ALTER TABLE checkpoint DROP COLUMN recent_changes")
        assert (await checkpoint.read(connection)).recent_changes is None
