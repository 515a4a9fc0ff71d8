"""While a batch is written the next one is folded already, and the tables can't tell."""

from collections.abc import AsyncIterator
from random import Random

import psycopg
import pytest
from structlog.testing import capture_logs

from eventstore.errors import CheckpointMoved
from eventstore.postgres.connections import Connection, connect
from projections import checkpoint
from projections.checkpoint import Checkpoint
from projections.errors import FoldFailed
from projections.projector.batch_transaction import Batches
from projections.projector.projector import FOLD_SETTINGS, Projector
from tests.projections.histories import BoxOffice, append
from tests.projections.independent_fold import expected_of, shown_by
from tests.projections.waiting import running, until, until_folded

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


async def test_a_reader_that_is_lost_is_told_once_and_done_without(
    database_url: str, folding: Connection, reader: Connection
) -> None:
    commands = BoxOffice(13).commands(60)
    await append(folding, commands)
    batches = Batches(folding, await checkpoint.read(folding), reader)
    await batches.fold_next(5)
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("SELECT pg_terminate_backend(%s)", (reader.info.backend_pid,))
    with capture_logs() as logs:
        await fold_all(batches, 5)
    assert [entry["event"] for entry in logs] == ["the connection that reads ahead is lost"]
    assert batches.reader is None
    assert await shown_by(folding) == expected_of(commands)


async def test_a_projector_whose_reader_is_lost_makes_another(
    database_url: str, folding: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Projector, "batch_domain_events", 5)
    made: list[Batches] = []
    begin = Batches.__init__

    def spy(batches: Batches, connection: Connection, start: Checkpoint, reader: Connection | None = None) -> None:
        begin(batches, connection, start, reader)
        made.append(batches)

    monkeypatch.setattr(Batches, "__init__", spy)
    office = BoxOffice(14)
    commands = office.commands(60)
    await append(folding, commands)
    with capture_logs() as logs:
        async with running(Projector(database_url)):
            await until_folded(folding)
            assert made[0].reader
            with psycopg.connect(database_url, autocommit=True) as owner:
                owner.execute("SELECT pg_terminate_backend(%s)", (made[0].reader.info.backend_pid,))
            commands += (more := office.commands(60))
            await append(folding, more)
            await until_folded(folding)

            async def goes_on() -> bool:
                return "the projector goes on" in [entry["event"] for entry in logs]

            await until(goes_on)
            assert len(made) == 2
            assert made[1].reader
    assert await shown_by(folding) == expected_of(commands)


async def test_after_one_bad_batch_full_ones_come_again(
    database_url: str, folding: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Projector, "batch_domain_events", 20)
    commands = BoxOffice(15).commands(60)
    last = await append(folding, commands)
    broken = sum(len(command) for command in commands[:12]) + 1
    assert last > broken + 40
    row = "SELECT state FROM stored_events WHERE notification_id = %s"
    ((state,),) = await (await folding.execute(row, (broken,), binary=True)).fetchall()
    with psycopg.connect(database_url, options="-c search_path=tixxety", autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(BREAK_ROW, {"state": b"{", "position": broken})
        limits = []
        fold_next = Batches.fold_next

        async def mended_midway(batches: Batches, limit: int) -> int:
            limits.append(limit)
            try:
                return await fold_next(batches, limit)
            except FoldFailed:
                owner.execute(BREAK_ROW, {"state": state, "position": broken})
                raise

        monkeypatch.setattr(Batches, "fold_next", mended_midway)
        async with running(Projector(database_url)):
            await until_folded(folding)
    assert 1 in limits
    after = limits[len(limits) - limits[::-1].index(1) :]
    assert set(after) == {20}
    assert await shown_by(folding) == expected_of(commands)
