"""While a batch is written the next one is folded already, and the tables can't tell."""

from collections.abc import AsyncIterator
from random import Random

import psycopg
import pytest

from eventstore.connections import Connection, connect
from projections import checkpoint
from projections.batches import Batches
from projections.failures import CheckpointMoved, FoldFailed
from projections.runner import FOLD_SETTINGS
from tests.projections.histories import BoxOffice, append
from tests.projections.independent_fold import expected_of, shown_by

BREAK_ROW = "UPDATE stored_events SET state = %(state)s WHERE notification_id = %(position)s"


@pytest.fixture
async def folding(database_url: str) -> AsyncIterator[Connection]:
    async with await connect(database_url, **FOLD_SETTINGS) as connection:
        yield connection


@pytest.fixture
async def reader(database_url: str) -> AsyncIterator[Connection]:
    async with await connect(database_url, **FOLD_SETTINGS) as connection:
        yield connection


async def fold_all(batches: Batches, limit: int) -> None:
    while await batches.fold_next(limit):
        pass


@pytest.mark.parametrize("seed", range(6))
async def test_any_history_in_batches_of_any_size(folding: Connection, reader: Connection, seed: int) -> None:
    dice = Random(seed)
    commands = BoxOffice(seed).commands(120)
    batches = Batches(folding, await checkpoint.read(folding), reader)
    for start in range(0, 120, 40):
        last = await append(folding, commands[start : start + 40])
        while batches.position < last:
            limit = dice.choice((1, 3, 7, 7, 7, 50))
            before = batches.position
            folded = await batches.fold_next(limit)
            assert batches.position == before + folded == (await checkpoint.read(folding)).position
    assert await shown_by(folding) == expected_of(commands)


async def test_what_can_not_be_read_stops_it_right_before_and_not_a_batch_earlier(
    database_url: str, folding: Connection, reader: Connection
) -> None:
    commands = BoxOffice(11).commands(30)
    await append(folding, commands)
    broken = sum(len(command) for command in commands[:20]) + 1
    with psycopg.connect(database_url, options="-c search_path=tixxety -c session_replication_role=replica") as owner:
        owner.execute(BREAK_ROW, {"state": b"{", "position": broken})
    batches = Batches(folding, await checkpoint.read(folding), reader)
    with pytest.raises(FoldFailed) as failed:
        await fold_all(batches, 4)
    assert failed.value.position == broken
    assert broken - 6 <= batches.position == (await checkpoint.read(folding)).position < broken


async def test_who_was_overtaken_forgets_what_it_has_folded_ahead(folding: Connection, reader: Connection) -> None:
    commands = BoxOffice(12).commands(60)
    await append(folding, commands)
    start = await checkpoint.read(folding)
    slow, quick = Batches(folding, start, reader), Batches(folding, start)
    await slow.fold_next(5)
    await Batches(folding, await checkpoint.read(folding)).fold_next(50)
    with pytest.raises(CheckpointMoved):
        await slow.fold_next(5)
    with pytest.raises(CheckpointMoved):
        await quick.fold_next(5)
    rest = Batches(folding, await checkpoint.read(folding), reader)
    await fold_all(rest, 5)
    assert await shown_by(folding) == expected_of(commands)
