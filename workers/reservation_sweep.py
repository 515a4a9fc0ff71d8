"""Takes back tickets that were not paid in time, and ends the reservations of cancelled events."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog
import uuid_utils.compat

from domain.commands import ExpireReservation, WithdrawReservation
from eventstore.errors import DatabaseAway, DiskFull, Overloaded, ReadOnly
from eventstore.postgres.connections import Connection
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from projections import checkpoint
from projections.projector.checkpoint_watcher import CheckpointWatcher
from projections.queries import reservations_queries
from workers.job_runner import Job

# More than can be ended in a second: after a sweep its outcome has to be folded before the next one may look.
SWEEP_RESERVATIONS = 16_384
# Enough for a group to wait while one is under way, and far below the queue's bound.
AT_ONCE_COMMANDS = 512
FOLD_PATIENCE_SECONDS = 1.0
SHORTEST_PAUSE_SECONDS = 0.01

log = structlog.get_logger()

SystemCommand = type[ExpireReservation] | type[WithdrawReservation]


class ReservationSweep(Job):
    """Finds what is due by the database's clock; the decision itself checks again, so being late or twice is safe."""

    name = "expiry"
    interval_seconds = 1

    def __init__(self, commands: GroupCommit, watcher: CheckpointWatcher) -> None:
        self._commands = commands
        self._watcher = watcher
        self._told: set[UUID] = set()
        # Cancelled events folded up to this position have no open reservation left, and never get a new one.
        self._withdrawn_through = 0

    async def work(self, connection: Connection) -> float | None:
        """One sweep of each kind, so that neither keeps the other waiting; more is for the next call, very soon.

        Returns when the next hold is due.
        """
        due = await reservations_queries.due_reservations(connection, SWEEP_RESERVATIONS)
        folded_position = (await checkpoint.read(connection)).position
        left = await reservations_queries.reservations_of_cancelled_events(
            connection, self._withdrawn_through, SWEEP_RESERVATIONS
        )
        if not left:
            self._withdrawn_through = folded_position
        sweeps: list[tuple[SystemCommand, Sequence[tuple[UUID, UUID]]]] = [
            (ExpireReservation, due),
            (WithdrawReservation, left),
        ]
        went_well = [await self._end(command, reservations) for command, reservations in sweeps if reservations]
        next_due_seconds = 0.0 if left else await reservations_queries.next_due_in_seconds(connection)
        if all(went_well) and next_due_seconds is not None:
            return max(next_due_seconds, SHORTEST_PAUSE_SECONDS)
        return None

    async def _end(self, command: SystemCommand, reservations: Sequence[tuple[UUID, UUID]]) -> bool:
        """Send one command for each (reservation, event), and wait until the outcome is folded.

        False when nothing came of it or the projections lag: what is left is for the next call. Raises a `Failure`
        that would meet all the others as well; what fails one reservation alone holds up no other.
        """
        position = 0
        for start in range(0, len(reservations), AT_ONCE_COMMANDS):
            some = reservations[start : start + AT_ONCE_COMMANDS]
            answers = await asyncio.gather(*(self._submit(command, *one) for one in some), return_exceptions=True)
            for (reservation_id, _), answer in zip(some, answers, strict=True):
                match answer:
                    case Outcome():
                        position = max(position, answer.position)
                    case DatabaseAway() | DiskFull() | ReadOnly() | Overloaded():
                        raise answer
                    case Exception():
                        self._tell(command, reservation_id, answer)
                    case BaseException():
                        raise answer
        return position > 0 and await self._watcher.wait_for(position, FOLD_PATIENCE_SECONDS)

    async def _submit(self, command: SystemCommand, reservation_id: UUID, event_id: UUID) -> Outcome:
        request_id = uuid_utils.compat.uuid7()
        return await self._commands.submit(
            command(event_id=event_id, reservation_id=reservation_id, request_id=request_id)
        )

    def _tell(self, command: SystemCommand, reservation_id: UUID, error: Exception) -> None:
        """Once, though it is tried again every second."""
        if reservation_id not in self._told:
            log.warning(
                "a reservation could not be ended",
                command=command.__name__,
                reservation=str(reservation_id),
                error=repr(error),
            )
        self._told.add(reservation_id)
