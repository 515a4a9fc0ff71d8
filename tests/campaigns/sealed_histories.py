"""A box office with a random history that is folded, sealed in many ranges and has snapshots, as one would find it."""

from dataclasses import dataclass
from random import Random
from uuid import UUID

from auditing.verify.checks.kept_seal import KeptSeal
from eventstore import snapshots
from eventstore.postgres.connections import Connection
from eventstore.seals import seal_keys, seals
from eventstore.seals.seals import check
from eventstore.writing.aggregate_cache import load
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from tests.projections.histories import BoxOffice, append

COMMANDS = (60, 200)


@dataclass(frozen=True)
class SealedHistory:
    """What there is of it. `kept` is the newest seal, as somebody outside has kept it."""

    head: int
    sealed_through: int
    seals: int
    snapshot_streams: list[UUID]
    kept: KeptSeal


async def make_history(connection: Connection, seed: int) -> SealedHistory:
    """Fill an empty box office; a little at the end is not sealed, and sometimes not folded."""
    dice = Random(seed)
    box_office = BoxOffice(seed)
    commands = box_office.commands(dice.randint(*COMMANDS))
    batches = Batches(connection, await checkpoint.read(connection))
    snapshot_streams: set[UUID] = set()
    unsealed, unfolded = dice.randint(0, 6), dice.choice((0, 0, 40))
    upto = len(commands) - unsealed
    start = head = 0
    while start < upto:
        size = min(dice.randint(4, 30), upto - start)
        head = await append(connection, commands[start : start + size])
        assert await seals.seal_next(connection)
        start += size
        if dice.random() < 0.5:
            event = await load(connection, dice.choice(box_office.events))
            if event is not None:
                await snapshots.keep(connection, event, head)
                snapshot_streams.add(event.id)
    if unsealed:
        head = await append(connection, commands[upto:])
    while batches.position < head - unfolded and await batches.fold_next(20):
        pass
    newest = await seals.newest(connection)
    assert newest is not None
    keys = {key["kid"]: key for key in await seal_keys.published(connection)}
    kept = KeptSeal(newest.jws, check(newest.jws, keys))
    return SealedHistory(head, newest.last_position, newest.number, sorted(snapshot_streams), kept)
