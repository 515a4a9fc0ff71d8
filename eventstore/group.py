"""One group of commands in one transaction: lock, catch up, decide each in turn, append all at once."""

from datetime import datetime
from typing import Any, NamedTuple, TypeGuard, cast
from uuid import UUID

import structlog

from domain.aggregate import DomainEvent
from domain.commands import (
    AnyCommand,
    CancelEvent,
    ChangeEvent,
    CreateEvent,
    EventCommand,
    ReservationCommand,
    ReserveTickets,
)
from domain.decide import decide
from domain.decision import Decision
from domain.organising import new_name
from domain.refusals import AccountClosed, Refusal
from domain.reservation import Reservation, ReservationRecord
from domain.ticketed_event import EventCreated, EventRecord, TicketedEvent
from eventstore import names
from eventstore.aggregates import fold
from eventstore.codec import decode, encode
from eventstore.connections import Connection
from eventstore.failures import DecisionFailed
from eventstore.locks import LOCK_CLASS, POSITION_KEY, stream_key
from eventstore.refused import Keeping, Refusals

# What one group may have to catch up under its locks; more is caught up outside of them first.
TAIL_ROWS = 5_000

LOCK = "SELECT lock_streams(%(keys)b::bigint[])"
# One row: which of the accounts live, and column by column what was recorded in the streams after the known versions.
# The aggregates take their input in the order of the subquery, which LIMIT keeps from being taken apart.
CATCH_UP = """
SELECT (SELECT array_agg(account_id) FROM accounts WHERE account_id = ANY(%(account_ids)b::uuid[])),
       array_agg(tail.originator_id), array_agg(tail.originator_version), array_agg(tail.topic), array_agg(tail.state)
FROM (SELECT s.originator_id, s.originator_version, s.topic, s.state
      FROM unnest(%(ids)b::uuid[], %(versions)b::bigint[]) WITH ORDINALITY AS known (id, version, place)
      CROSS JOIN LATERAL (
          SELECT originator_id, originator_version, topic, state FROM stored_events
          WHERE originator_id = known.id AND originator_version > known.version
          ORDER BY originator_version LIMIT %(limit)s
      ) AS s
      ORDER BY known.place, s.originator_version LIMIT %(limit)s) AS tail
"""
APPEND = """
SELECT append(%(ids)b::uuid[], %(versions)b::bigint[], %(topics)b::text[], %(states)b::bytea[],
              %(command_ends)b::bigint[], %(lock_class)s, %(lock_key)s)
"""
POSITIONS = """
SELECT s.command_position
FROM unnest(%(ids)b::uuid[], %(versions)b::bigint[]) WITH ORDINALITY AS asked (id, version, place)
JOIN stored_events s ON s.originator_id = asked.id AND s.originator_version = asked.version
ORDER BY asked.place
"""

POSITION_LOCK = {"lock_class": LOCK_CLASS, "lock_key": POSITION_KEY}

log = structlog.get_logger()


class Outcome(NamedTuple):
    """The answer to a command, and the position at which the history makes it true."""

    answer: EventRecord | ReservationRecord
    position: int
    replayed: bool


class Decided(NamedTuple):
    """A decision and how many rows the group has with it; 0 when it recorded nothing."""

    decision: Decision
    end: int


class TailTooLong(Exception):
    """Other processes have written more to the group's events than can be caught up under their locks."""


class Group:
    """The commands that go into one transaction. Nothing it answers may be told before its COMMIT.

    `events` are the commands' events as this process knows them; they are brought up to date. After any exception
    they, and the connection, are in an unknown state and must be dropped.
    """

    def __init__(
        self,
        connection: Connection,
        events: dict[UUID, TicketedEvent | None],
        commands: list[AnyCommand],
        keeping: Keeping,
        *,
        tried_before: bool = False,
    ) -> None:
        self.connection = connection
        self.events = events
        self.commands = commands
        self.tried_before = tried_before
        self.purchases: dict[UUID, list[DomainEvent]] = {}
        self.rows: list[tuple[UUID, int, str, bytes]] = []
        self.command_ends: list[int] = []
        self.refusals = Refusals(keeping)

    async def answers(self) -> list[Outcome | Exception]:
        """One answer per command, in their order: what was recorded, a `Refusal`, or a `DecisionFailed`."""
        now, living = await self._read_first()
        decided = [await self._decide(command, now, living) for command in self.commands]
        positions = await self._append(decided, now)
        return [
            Outcome(one.decision.answer, position, one.decision.replayed) if isinstance(one, Decided) else one
            for one, position in zip(decided, positions, strict=True)
        ]

    async def _read_first(self) -> tuple[datetime, set[UUID]]:
        """Lock the streams, read the clock, catch up with what others wrote, see which accounts live."""
        reservation_ids = {c.reservation_id for c in self.commands if self._may_have_stream(c)}
        versions = {i: event.version if event else 0 for i, event in self.events.items()}
        versions |= dict.fromkeys(reservation_ids, 0)
        actor_ids = {command.actor.account_id for command in self.commands if command.actor}
        asked: dict[str, Any] = {"ids": list(versions), "versions": list(versions.values()), "limit": TAIL_ROWS}
        asked["account_ids"] = list(actor_ids)
        async with self.connection.pipeline():
            clock = await self.connection.execute(LOCK, {"keys": self._lock_keys()}, binary=True)
            caught_up = await self.connection.execute(CATCH_UP, asked, binary=True)
        ((now,),), ((living, *columns),) = await clock.fetchall(), await caught_up.fetchall()
        self._catch_up(list(zip(*columns, strict=True)) if columns[0] else [])
        return now, set(living or ())

    def _may_have_stream(self, command: AnyCommand) -> TypeGuard[ReservationCommand]:
        if isinstance(command, ReserveTickets):
            return self.tried_before or command.idempotency is not None
        return not isinstance(command, EventCommand)

    def _lock_keys(self) -> list[int]:
        """Everything that two processes could both write, sorted so that no two groups wait for each other."""
        keys = {stream_key(event_id) for event_id in self.events}
        for command in self.commands:
            match command:
                case CreateEvent():
                    keys.add(stream_key(command.actor.account_id))
                case ChangeEvent() | CancelEvent():
                    if event := self.events[command.event_id]:
                        keys.add(stream_key(event.created.organiser_id))
                case ReserveTickets() if command.idempotency:
                    keys.add(stream_key(command.reservation_id))
        return sorted(keys)

    def _catch_up(self, rows: list[tuple[Any, ...]]) -> None:
        if len(rows) == TAIL_ROWS:
            raise TailTooLong
        for row in rows:
            self._apply(row[0], decode(*row))

    async def _decide(self, command: AnyCommand, now: datetime, living: set[UUID]) -> Decided | Exception:
        """Decide on the state as the commands before left it, and apply the outcome to it at once."""
        if command.actor and command.actor.account_id not in living:
            return AccountClosed()
        event = self.events[command.event_id]
        reservation = None if isinstance(command, EventCommand) else self._reservation(command.reservation_id)
        name = new_name(command, event)
        holder_id = await names.holder(self.connection, name) if name else None
        try:
            decision = decide(command, event, reservation, now, holder_id)
            rows = [(e.originator_id, e.originator_version, e.TOPIC, encode(e)) for e in decision.domain_events]
        except Refusal as refusal:
            self.refusals.add(command, refusal, event, len(self.rows))
            return refusal.with_traceback(None)
        except Exception as bug:
            log.exception("a decision failed", command=type(command).__name__, request_id=str(command.request_id))
            return failed_by(bug)
        if not rows:
            return Decided(decision, 0)
        for domain_event in decision.domain_events:
            self._apply(domain_event.originator_id, domain_event)
        self.rows += rows
        self.command_ends += [len(self.rows)] * len(rows)
        if isinstance(command, CancelEvent):
            await names.free(self.connection, command.event_id)
        elif name:
            await names.take(self.connection, name, command.event_id)
        return Decided(decision, len(self.rows))

    def _apply(self, stream_id: UUID, domain_event: DomainEvent) -> None:
        """Bring the event up to date, or keep what a reservation is folded from once a command asks for it."""
        if (event := self.events.get(stream_id)) is not None:
            domain_event.mutate(event)
        elif isinstance(domain_event, EventCreated):
            self.events[stream_id] = fold(None, domain_event)
        else:
            self.purchases.setdefault(stream_id, []).append(domain_event)

    def _reservation(self, reservation_id: UUID) -> Reservation | None:
        reservation: Any = None
        for domain_event in self.purchases.get(reservation_id, ()):
            reservation = domain_event.mutate(reservation)
        return cast(Reservation | None, reservation)

    async def _append(self, decided: list[Decided | Exception], now: datetime) -> list[int]:
        """Insert and commit in one trip; the position of each answer, 0 for those that have none."""
        unchanged = [one.decision for one in decided if isinstance(one, Decided) and not one.end]
        looked_up = appended = None
        async with self.connection.pipeline():
            if self.rows:
                ids, versions, topics, states = map(list, zip(*self.rows, strict=True))
                append: dict[str, Any] = {"ids": ids, "versions": versions, "topics": topics, "states": states}
                append |= {"command_ends": self.command_ends} | POSITION_LOCK
                appended = await self.connection.execute(APPEND, append, binary=True)
            if self.refusals:
                await self.refusals.insert(self.connection, now, len(self.rows))
            if unchanged:
                asked = {"ids": [d.stream_id for d in unchanged], "versions": [d.version for d in unchanged]}
                looked_up = await self.connection.execute(POSITIONS, asked, binary=True)
            await self.connection.commit()
        before = (await appended.fetchall())[0][0] if appended else 0
        recorded = iter(await looked_up.fetchall() if looked_up else ())
        return [
            0 if isinstance(one, Exception) else before + one.end if one.end else next(recorded)[0] for one in decided
        ]


def failed_by(bug: Exception) -> DecisionFailed:
    """What the one who asked is told of a bug; the bug itself is its cause."""
    failure = DecisionFailed()
    failure.__cause__ = bug
    return failure
