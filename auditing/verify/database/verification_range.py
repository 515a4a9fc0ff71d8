"""What of a box office is to be verified: all of it, or what came after a seal."""

from typing import NamedTuple

from auditing.verify.errors import NoSuchSeal
from eventstore import reading
from eventstore.postgres.connections import Connection
from eventstore.seals import seals
from eventstore.seals.seals import Seal
from projections import checkpoint
from projections.checkpoint import DEFINITIONS_VERSION


class Plan(NamedTuple):
    """Read the history after `after`, and the streams that have grown after `grown_after`; 0 means all.

    `before` is the seal before the first one to check. The tables show the history up to `folded_through`.
    """

    head: int
    since_seal: int | None
    before: Seal | None
    after: int
    grown_after: int
    folded_through: int
    tables_are_ours: bool


async def plan(connection: Connection, since_seal: int | None) -> Plan:
    """Look at what there is. Raises `NoSuchSeal`."""
    head = await reading.head(connection)
    folded = await checkpoint.read(connection)
    before, grown_after = None, 0
    if since_seal is not None:
        found = {seal.number: seal for seal in await seals.after(connection, since_seal - 2, 2)}
        if since_seal not in found:
            newest = await seals.newest(connection)
            there = f"the newest is {newest.number}" if newest else "nothing is sealed yet"
            raise NoSuchSeal(f"There is no seal {since_seal}: {there}.")
        before, grown_after = found.get(since_seal - 1), found[since_seal].last_position
    return Plan(
        head=head,
        since_seal=since_seal,
        before=before,
        after=before.last_position if before else 0,
        grown_after=grown_after,
        folded_through=folded.position,
        tables_are_ours=folded.definitions_version == DEFINITIONS_VERSION,
    )
