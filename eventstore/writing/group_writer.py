"""Writes groups of commands to the history, one after the other, through one connection."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg_pool import PoolTimeout

from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import BY_INDEX
from eventstore.postgres.round_trips import Trips
from eventstore.writing.aggregate_cache import AggregateCache
from eventstore.writing.group_statements import ROLLBACK, STATEMENTS
from eventstore.writing.group_transaction import CatchUpFirst, Group, Outcome, StreamsBusy, Undecided
from eventstore.writing.refused_attempts import Keeping
from eventstore.writing.waiting_command import Attempt, Waiting

# How often a group is begun anew, to catch up outside its locks or to leave aside what others have locked.
TRIES = 5
# A trip waits for an event's lock for a second, for that of the positions for three, and for the disk.
TRIP_SECONDS = 4.0
SETTINGS = BY_INDEX | {
    "lock_timeout": "1s",
    # Where the server has it, from 17 on: it also ends what a frozen process has left in the middle of a trip.
    "transaction_timeout": "5s",
}


class OthersWriteOn(Exception):
    """Other processes write to the group's events faster than this one catches up. Nothing was recorded."""


class Writer:
    """One connection, made anew after whatever goes wrong. No event may be in two writers at the same moment.

    With `sets_aside` a group goes on without the commands whose streams others keep locked; else it waits for a second
    and raises `StreamsBusy`.
    """

    def __init__(
        self, box_office: BoxOffice | str, aggregates: AggregateCache, keeping: Keeping, *, sets_aside: bool
    ) -> None:
        self._box_office = box_office
        self._aggregates = aggregates
        self._keeping = keeping
        self._sets_aside = sets_aside
        self._trips: Trips | None = None

    @property
    def backend_pid(self) -> int | None:
        """The server's process for this connection, if there is one."""
        return self._trips.backend_pid if self._trips is not None else None

    async def record(self, entries: Sequence[Waiting]) -> list[Outcome | Exception | Undecided]:
        """Decide and record them in one transaction; one answer each, in their order. What they read must be in memory.

        Raises `StreamsBusy` and `OthersWriteOn`, when nothing was recorded; else after any exception the outcome is
        unknown, and what they read is no longer in memory.
        """
        kept = {i: self._aggregates.get(i) for entry in entries for i in entry.command.streams}
        try:
            if self._trips is None or not self._trips.is_open:
                self._trips = await Trips.open(self._box_office, STATEMENTS, TRIP_SECONDS, **SETTINGS)
            answers = await self._transact(self._trips, entries, kept)
        except (StreamsBusy, OthersWriteOn):
            raise
        except BaseException:
            self._aggregates.drop(kept)
            self.close()
            raise
        self._aggregates.put_all(kept)
        return answers

    def close(self) -> None:
        """A closed connection holds no lock and no half transaction."""
        if self._trips is not None:
            self._trips.close()
            self._trips = None

    async def _transact(
        self, trips: Trips, entries: Sequence[Waiting], kept: dict[UUID, Any]
    ) -> list[Outcome | Exception | Undecided]:
        commands = [entry.command for entry in entries]
        tried_before = {entry.command.request_id for entry in entries if entry.attempt is not Attempt.FIRST}
        wait_for_locks = True
        for _ in range(TRIES):
            group = Group(
                trips, kept, commands, self._keeping, tried_before=tried_before, wait_for_locks=wait_for_locks
            )
            try:
                return await group.answers()
            except StreamsBusy:
                await trips.go((ROLLBACK, ()))
                if not self._sets_aside:
                    raise
                wait_for_locks = False
            except CatchUpFirst:
                await trips.go((ROLLBACK, ()))
                try:
                    for stream_id, aggregate in kept.items():
                        kept[stream_id] = await self._aggregates.catch_up(stream_id, aggregate)
                except PoolTimeout as error:
                    raise OthersWriteOn from error
        raise OthersWriteOn
