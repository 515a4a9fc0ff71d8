"""Any history, in any cut, through any interruption: the tables are what an independent fold says, no more, no less."""

import asyncio
from random import Random

import pytest

from eventstore.errors import CheckpointMoved
from eventstore.postgres.connections import WORKER_ROLE, connect
from eventstore.reading import head
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from projections.projector.projector import Projector
from tests.projections.histories import BoxOffice, Command, append, with_ends
from tests.projections.independent_fold import expected_of, shown_by
from tests.projections.waiting import end_other_sessions, running, until_folded

SEEDS = range(5)
TOPICS = 21


def up_to(position: int, commands: list[Command]) -> list[Command]:
    """The commands that end at or before a position, which has to be the end of one."""
    ends = [end for _, end in with_ends(commands)]
    assert position in (0, *ends), f"{position} is inside a command"
    return [command for command, end in with_ends(commands) if end <= position]


def test_random_histories_have_every_kind_of_domain_event() -> None:
    topics = {e.TOPIC for seed in SEEDS for command in BoxOffice(seed).commands(400) for e in command}
    assert len(topics) == TOPICS


@pytest.mark.parametrize("seed", SEEDS)
async def test_each_batch_ends_with_a_command_and_shows_all_before_it(database_url: str, seed: int) -> None:
    random, commands = Random(seed), BoxOffice(seed).commands(400)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        batches = Batches(connection, await checkpoint.read(connection))
        stored = 0
        while stored < len(commands):
            more = random.randint(1, 120)
            await append(connection, commands[stored : stored + more])
            stored += more
            while await batches.fold_next(random.choice((1, 2, 7, 50, 1_000))):
                if random.random() < 0.1:
                    position = (await checkpoint.read(connection)).position
                    assert await shown_by(connection) == expected_of(up_to(position, commands))
        assert batches.position == await head(connection)
        assert await shown_by(connection) == expected_of(commands)


@pytest.mark.parametrize("seed", SEEDS)
async def test_projectors_that_are_stopped_at_any_moment_skip_nothing_and_repeat_nothing(
    database_url: str, seed: int
) -> None:
    random, commands = Random(seed), BoxOffice(seed).commands(300)
    projectors = [Projector(database_url), Projector(database_url)]
    tasks = [asyncio.create_task(projector.run()) for projector in projectors]
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        for start in range(0, len(commands), 20):
            await append(connection, commands[start : start + 20])
            for _ in range(random.randint(0, 200)):
                await asyncio.sleep(0)
            match random.choice(("cancel", "cut off", "let be", "let be")):
                case "cancel":
                    which = random.randrange(2)
                    tasks[which].cancel()
                    await asyncio.gather(tasks[which], return_exceptions=True)
                    tasks[which] = asyncio.create_task(projectors[which].run())
                case "cut off":
                    await connection.close()
                    await end_other_sessions(database_url)
                    connection = await connect(database_url, role=WORKER_ROLE)
        await until_folded(connection)
        assert await shown_by(connection) == expected_of(commands)
        await connection.close()
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("seed", range(4))
async def test_a_projector_that_was_overtaken_starts_over_and_blames_no_domain_event(
    database_url: str, seed: int
) -> None:
    async with (
        await connect(database_url, role=WORKER_ROLE) as connection,
        await connect(database_url, role=WORKER_ROLE) as another,
    ):
        await append(connection, BoxOffice(seed).commands(120))
        await Batches(connection, await checkpoint.read(connection)).fold_next(40 * (seed + 1))
        start = await checkpoint.read(connection)
        while await Batches(another, await checkpoint.read(another)).fold_next(1_000):
            pass
        with pytest.raises(CheckpointMoved):
            await Batches(connection, start).fold_next(1_000)


async def test_a_backlog_of_many_batches_is_folded(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Projector, "batch_domain_events", 64)
    commands = BoxOffice(99).commands(500)
    async with await connect(database_url, role=WORKER_ROLE) as connection, running(Projector(database_url)):
        await append(connection, commands)
        await until_folded(connection)
        assert await shown_by(connection) == expected_of(commands)
