"""One group of commands in one transaction: lock, catch up, decide each in turn, append all at once."""

import asyncio
from collections.abc import Sequence, Set
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

import uuid_utils.compat
from psycopg.errors import LockNotAvailable

from domain.commands import Command, ExpireReservation
from domain.decide import decide
from domain.decision import Answer, Decision, Read
from domain.domain_event import DomainEvent
from domain.due_holds import TooManyDueHolds, expire_due
from domain.errors import AccountClosed, Refusal
from domain.event_facts import EventCancelled
from domain.organising import names_of, new_name
from domain.ticketed_event import TicketedEvent
from eventstore.box_office import POSITION_KEY
from eventstore.codec import decode, encode
from eventstore.errors import failed_by
from eventstore.postgres import binary_parameters as binary
from eventstore.postgres.round_trips import Rows, Statement, Trips
from eventstore.writing import unique_event_names
from eventstore.writing.aggregate_cache import fold
from eventstore.writing.group_statements import (
    APPEND,
    BEGIN,
    CATCH_UP,
    COMMIT,
    LOCK,
    POSITIONS,
    TRY_LOCK,
    WAIT_FOR_STANDBYS,
)
from eventstore.writing.refused_attempts import KEEP, LOSABLE, Keeping, Refusals

# What one group may have to catch up under its locks; more is caught up outside of them first.
TAIL_ROWS = 5_000
# A group that has recorded so many rows leaves its other commands to the next one.
GROUP_ROWS = 5_000
# So does one that has decided for so long, as where names are asked for of a server that is far away: it holds locks.
GROUP_SECONDS = 0.5


class Outcome(NamedTuple):
    """The answer to a command, the position at which the history makes it true, and how much it added to it.

    `decided_at` is the instant that it was decided for, by the database's clock.
    """

    answer: Answer
    position: int
    replayed: bool
    decided_at: datetime
    recorded_bytes: int = 0


class Undecided(Enum):
    """Why a group has no answer to a command, for which nothing was recorded."""

    BUSY = "another process holds a stream that it writes to"
    UNFINISHED = "the group has done all that one may, perhaps of what this command needs first"


class GroupDecision(NamedTuple):
    """A decision and how many rows the group has with it; 0 when it recorded nothing."""

    decision: Decision
    end: int
    recorded_bytes: int = 0


class StreamsBusy(Exception):
    """A stream stayed locked by another process. Nothing was decided; the transaction is broken."""


class CatchUpFirst(Exception):
    """Others have written more than can be caught up under the group's locks, or what calls for more locks."""


class Group:
    """The commands that go into one transaction. No answer of it may be sent before its COMMIT.

    `kept` are the aggregates of the commands' `streams` as this process knows them; they are brought up to date.
    `tried_before` are the requests of commands that an earlier group may have recorded. Without `wait_for_locks` the
    commands whose streams others have locked are left aside. After `StreamsBusy` and `CatchUpFirst` the transaction has
    to be rolled back; after any other exception `kept` and the connection are in an unknown state and must be dropped.
    """

    def __init__(
        self,
        trips: Trips,
        kept: dict[UUID, Any],
        commands: Sequence[Command],
        keeping: Keeping,
        *,
        tried_before: Set[UUID] = frozenset(),
        wait_for_locks: bool = True,
    ) -> None:
        self.trips = trips
        self.kept = kept
        self.has_unknown = any(aggregate is None for aggregate in kept.values())
        self.commands = commands
        self.tried_before = tried_before
        self.wait_for_locks = wait_for_locks
        self.short_streams: dict[UUID, list[DomainEvent]] = {}
        self.rows: list[tuple[UUID, int, str, bytes]] = []
        self.command_ends: list[int] = []
        self.refusals = Refusals(keeping)
        self.clock = asyncio.get_running_loop().time
        self.decides_until = 0.0

    async def answers(self) -> list[Outcome | Exception | Undecided]:
        """One answer per command, in their order: what was recorded, a `Refusal`, a `DecisionFailed`, or none."""
        now, busy, living = await self._read_first()
        self.decides_until = self.clock() + GROUP_SECONDS
        decided = [await self._answer(command, now, busy, living) for command in self.commands]
        positions = await self._append(decided, now)
        self.refusals.settle()
        return [
            Outcome(one.decision.answer, position, one.decision.replayed, now, one.recorded_bytes)
            if isinstance(one, GroupDecision)
            else one
            for one, position in zip(decided, positions, strict=True)
        ]

    async def _read_first(self) -> tuple[datetime, set[int], set[UUID]]:
        """Lock the streams, read the clock, catch up with what others wrote, see which accounts live."""
        read = [c for c in self.commands if not c.has_new_streams or self._was_tried_before(c)]
        versions = dict.fromkeys((stream_id for c in read for stream_id in c.short_streams), 0)
        versions |= {i: aggregate.version if aggregate else 0 for i, aggregate in self.kept.items()}
        actor_ids = {command.actor.account_id for command in self.commands if command.actor}
        locked = {key for command in self.commands for key in self._lock_keys(command)}
        asked = (
            binary.uuids(list(actor_ids)),
            binary.uuids(list(versions)),
            binary.bigints(list(versions.values())),
            binary.bigint(TAIL_ROWS),
        )
        lock = LOCK if self.wait_for_locks else TRY_LOCK
        try:
            _, ((now, busy),), ((living, *columns),) = await self.trips.go(
                (BEGIN, ()), (lock, (binary.bigints(sorted(locked)),)), (CATCH_UP, asked)
            )
        except LockNotAvailable as error:
            raise StreamsBusy from error
        self._catch_up(list(zip(*columns, strict=True)) if columns[0] else [])
        if self.has_unknown and any(not locked.issuperset(self._lock_keys(c)) for c in self.commands):
            # As that of an event's organiser, who was not known before.
            raise CatchUpFirst
        return now, set(busy), set(living or ())

    def _was_tried_before(self, command: Command) -> bool:
        return bool(self.tried_before) and command.request_id in self.tried_before

    def _lock_keys(self, command: Command) -> list[int]:
        """Everything of the command that two processes could both write; sorted, no two groups wait for each other."""
        stream_key = self.trips.box_office.stream_key
        keys = list(map(stream_key, command.locks))
        if command.changes_names and (organiser_id := names_of(command, self.kept[command.event_id])):
            keys.append(stream_key(organiser_id))
        return keys

    def _catch_up(self, rows: list[tuple[Any, ...]]) -> None:
        if len(rows) == TAIL_ROWS:
            raise CatchUpFirst
        for row in rows:
            self._apply(row[0], decode(*row))

    async def _answer(
        self, command: Command, now: datetime, busy: set[int], living: set[UUID]
    ) -> GroupDecision | Exception | Undecided:
        if busy and not busy.isdisjoint(self._lock_keys(command)):
            return Undecided.BUSY
        if len(self.rows) >= GROUP_ROWS or self.clock() > self.decides_until:
            return Undecided.UNFINISHED
        if command.actor and command.actor.account_id not in living:
            return AccountClosed()
        return await self._decide(command, now)

    async def _decide(self, command: Command, now: datetime) -> GroupDecision | Exception | Undecided:
        """Decide on the state as the commands before left it, and apply the outcome to it at once."""
        event = self.kept[command.event_id]
        name = new_name(command, event) if command.changes_names else None
        holder_id = await unique_event_names.holder(self.trips, name) if name else None
        try:
            decision = decide(command, Read.of(command, self._aggregate, holder_id), now)
            rows = encoded(decision)
        except Refusal as refusal:
            self.refusals.add(command, refusal, event, len(self.rows))
            return refusal.with_traceback(None)
        except TooManyDueHolds as due:
            self._take_back(event, due.reservation_ids, now)
            return Undecided.UNFINISHED
        except Exception as bug:
            # Told once the locks are free: whatever the log is written to may be slow.
            return failed_by(bug)
        if not rows:
            return GroupDecision(decision, 0)
        self._record(decision, rows)
        if command.changes_names and any(isinstance(one, EventCancelled) for one in decision.domain_events):
            await unique_event_names.free(self.trips, command.event_id)
        elif name:
            await unique_event_names.take(self.trips, name, command.event_id)
        return GroupDecision(decision, len(self.rows), sum(len(state) for *_, state in rows))

    def _take_back(self, event: TicketedEvent, reservation_ids: Sequence[UUID], now: datetime) -> None:
        """Expire these due holds, each by a command of its own."""
        for reservation_id in reservation_ids:
            expire = ExpireReservation(
                event_id=event.id, request_id=uuid_utils.compat.uuid7(), reservation_id=reservation_id
            )
            decision = expire_due(expire, event, now)
            self._record(decision, encoded(decision))

    def _record(self, decision: Decision, rows: list[tuple[UUID, int, str, bytes]]) -> None:
        for domain_event in decision.domain_events:
            self._apply(domain_event.originator_id, domain_event)
        self.rows += rows
        self.command_ends += [len(self.rows)] * len(rows)

    def _apply(self, stream_id: UUID, domain_event: DomainEvent) -> None:
        """Bring the aggregate up to date, or keep what it is folded from once a command asks for it."""
        if (aggregate := self.kept.get(stream_id)) is not None:
            domain_event.mutate(aggregate)
        elif self.has_unknown and stream_id in self.kept and (begun := fold(None, domain_event)):
            self.kept[stream_id] = begun
        else:
            self.short_streams.setdefault(stream_id, []).append(domain_event)

    def _aggregate(self, stream_id: UUID) -> Any:
        aggregate = self.kept.get(stream_id)
        for domain_event in self.short_streams.get(stream_id, ()):
            aggregate = domain_event.mutate(aggregate)
        return aggregate

    async def _append(self, decided: Sequence[GroupDecision | Exception | Undecided], now: datetime) -> list[int]:
        """Insert and commit in one trip; the position of each answer, 0 for those that have none."""
        unchanged = [one.decision for one in decided if isinstance(one, GroupDecision) and not one.end]
        sends: dict[Statement, Sequence[bytes | None]] = {}
        if self.rows:
            ids, versions, topics, states = zip(*self.rows, strict=True)
            columns = (binary.uuids(ids), binary.bigints(versions), binary.texts(topics), binary.byteas(states))
            lock = self.trips.box_office.lock(POSITION_KEY).values()
            sends[APPEND] = (*columns, binary.bigints(self.command_ends), *map(binary.integer, lock))
        elif unchanged:
            sends[WAIT_FOR_STANDBYS] = ()
        elif self.refusals:
            sends[LOSABLE] = ()
        if self.refusals:
            sends[KEEP] = self.refusals.parameters(now, len(self.rows))
        if unchanged:
            sends[POSITIONS] = (
                binary.uuids([d.stream_id for d in unchanged]), binary.bigints([d.version for d in unchanged])
            )  # fmt: skip
        sends[COMMIT] = ()
        answered = dict(zip(sends, await self.trips.go(*sends.items()), strict=True))
        before = answered[APPEND][0][0] if self.rows else 0
        recorded = iter(answered.get(POSITIONS, Rows()))
        return [
            (before + one.end if one.end else next(recorded)[0]) if isinstance(one, GroupDecision) else 0
            for one in decided
        ]


def encoded(decision: Decision) -> list[tuple[UUID, int, str, bytes]]:
    """The rows that record a decision: stream, version, topic, state."""
    return [(e.originator_id, e.originator_version, e.TOPIC, encode(e)) for e in decision.domain_events]
