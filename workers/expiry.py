"""Takes back tickets that were not paid in time, and ends the reservations of cancelled events."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
import uuid_utils.compat
from apscheduler.schedulers.base import BaseScheduler

from domain.commands import ExpireReservation, WithdrawReservation
from domain.refusals import Refusal
from eventstore.connections import Connection
from eventstore.failures import Failure
from eventstore.group import Outcome
from eventstore.group_commit import GroupCommit
from eventstore.locks import EXPIRY_KEY
from projections import checkpoint, queries
from projections.follower import Follower
from workers.alone import Alone

# More than can be ended in a second: after a sweep its outcome has to be folded before the next one may look.
SWEEP_RESERVATIONS = 16_384
# Enough for a group to wait while one is under way, and far below the queue's bound.
AT_ONCE_COMMANDS = 512
FOLD_PATIENCE_SECONDS = 1.0
IDLE_SECONDS = 5
SHORTEST_PAUSE_SECONDS = 0.01

log = structlog.get_logger()

SystemCommand = type[ExpireReservation] | type[WithdrawReservation]


class Expiry(Alone):
    """Finds what is due by the database's clock; the decision itself checks again, so being late or twice is safe.

    Its scheduler calls it every second; in between it asks to be called when the next hold is due.
    """

    job_id = "expiry"

    def __init__(self, database_url: str, commands: GroupCommit, follower: Follower, scheduler: BaseScheduler) -> None:
        super().__init__(database_url, EXPIRY_KEY, IDLE_SECONDS)
        self._commands = commands
        self._follower = follower
        self._scheduler = scheduler
        # Cancelled events folded up to this position have no open reservation left, and never get a new one.
        self._withdrawn_through = 0

    async def work(self, connection: Connection) -> None:
        """One sweep of each kind, so that neither keeps the other waiting; more is for the next call, very soon."""
        due = await queries.due_reservations(connection, SWEEP_RESERVATIONS)
        folded_position = (await checkpoint.read(connection)).position
        left = await queries.reservations_of_cancelled_events(connection, self._withdrawn_through, SWEEP_RESERVATIONS)
        if not left:
            self._withdrawn_through = folded_position
        sweeps: list[tuple[SystemCommand, Sequence[tuple[UUID, UUID]]]] = [
            (ExpireReservation, due),
            (WithdrawReservation, left),
        ]
        went_well = [await self._end(command, reservations) for command, reservations in sweeps if reservations]
        next_due_seconds = 0.0 if left else await queries.next_due_in_seconds(connection)
        if all(went_well) and next_due_seconds is not None:
            self._call_again_in(max(next_due_seconds, SHORTEST_PAUSE_SECONDS))

    async def _end(self, command: SystemCommand, reservations: Sequence[tuple[UUID, UUID]]) -> bool:
        """Send one command for each (reservation, event), and wait until the outcome is folded.

        False when nothing came of it or the projections lag: what is left is for the next call.
        """
        position = 0
        for start in range(0, len(reservations), AT_ONCE_COMMANDS):
            answers = await asyncio.gather(
                *(
                    self._commands.submit(
                        command(event_id=event_id, reservation_id=reservation_id, request_id=uuid_utils.compat.uuid7())
                    )
                    for reservation_id, event_id in reservations[start : start + AT_ONCE_COMMANDS]
                ),
                return_exceptions=True,
            )
            for answer in answers:
                match answer:
                    case Outcome():
                        position = max(position, answer.position)
                    case Refusal() | Failure():
                        log.warning("a reservation could not be ended", command=command.__name__, error=repr(answer))
                    case BaseException():
                        raise answer
        return position > 0 and await self._follower.wait_for(position, FOLD_PATIENCE_SECONDS)

    def _call_again_in(self, seconds: float) -> None:
        job = self._scheduler.get_job(self.job_id)
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        if job is not None and job.next_run_time is not None and at < job.next_run_time:
            job.modify(next_run_time=at)
