"""The one way to write: commands that wait while one transaction is under way go together into the next."""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Self, cast
from uuid import UUID

import psycopg
import structlog

from domain.commands import Command
from domain.errors import ReservationNotFound
from domain.reservation import ReservationPlaced, ReservationRecord
from eventstore.box_office import BoxOffice
from eventstore.codec import decode
from eventstore.errors import DatabaseAway, DecisionFailed, EventBusy, Failure, Overloaded, failed_by, failure_of
from eventstore.postgres.connections import BY_INDEX, CONNECTION_LOST, pool
from eventstore.writing.aggregate_cache import AggregateCache
from eventstore.writing.command_lane import Lane
from eventstore.writing.group_transaction import Outcome, StreamsBusy, Undecided
from eventstore.writing.group_writer import OthersWriteOn, Writer
from eventstore.writing.refused_attempts import Keeping
from eventstore.writing.waiting_command import NOTHING_RECORDED, Attempt, Waiting, next_after

LOADING_CONNECTIONS = 3
# Loading reads a few rows by key; a connection that does not give them is one that has gone silent.
LOADING_SECONDS = 3.0
REMEMBERED_RESERVATIONS = 100_000
# With what it takes to notice, nobody waits for an answer longer than 10 seconds; and for an event that others hold:
PATIENCE_SECONDS = 9.5
BUSY_SECONDS = 5.0
# A group that is under way for so long is looked after, so often.
SLOW_SECONDS, LOOK_SECONDS = 0.6, 0.2

PLACED = """
SELECT originator_id, originator_version, topic, state FROM stored_events
WHERE originator_id = %(reservation_id)s AND originator_version = 1 AND topic = %(topic)s
"""
END_SILENT_HOLDERS = "SELECT end_silent_holders(%s)"

log = structlog.get_logger()


class GroupCommit:
    """Decides and records the commands of one process; any number of processes may do so at once.

    At most `group_commands` go into one transaction and `queue_commands` may wait; beyond that, `Overloaded`. An event
    that another process keeps locked is set aside: its commands wait in a lane of their own, and nobody else for them.
    """

    def __init__(self, box_office: BoxOffice | str, *, group_commands: int = 256, queue_commands: int = 4_096) -> None:
        self._group_commands = group_commands
        self._queue_commands = queue_commands
        self._under_way = 0
        self._loading = pool(box_office, LOADING_CONNECTIONS, LOADING_SECONDS, **BY_INDEX)
        self._aggregates = AggregateCache(self._loading)
        self._event_ids: OrderedDict[UUID, UUID] = OrderedDict()
        keeping = Keeping()
        self._main = Lane(Writer(box_office, self._aggregates, keeping, sets_aside=True), one_event=False)
        self._aside = Lane(Writer(box_office, self._aggregates, keeping, sets_aside=False), one_event=True)
        self._set_aside: set[UUID] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._all_answered = asyncio.Event()
        self._all_answered.set()

    async def __aenter__(self) -> Self:
        await self._loading.open()
        self._clock = asyncio.get_running_loop().time
        for lane in (self._main, self._aside):
            self._start(self._run(lane))
        self._start(self._look_after())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Answer what waits already, then close; a command that comes later is refused as overload."""
        self._closing = True
        await self._all_answered.wait()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in (self._main, self._aside):
            lane.writer.close()
        await self._loading.close()

    async def submit(self, command: Command) -> Outcome:
        """Decide and record one command; returns once it is durable, and at the latest after 10 seconds.

        Raises a `Refusal`; `Overloaded` when too many wait; `EventBusy`, `DiskFull`, `ReadOnly`; `DatabaseAway` when
        its outcome is unknown. Giving up waiting takes the command back only until its group has begun.
        """
        if self._closing or self._under_way >= self._queue_commands:
            raise Overloaded
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        entry = Waiting(command, answer, self._clock())
        self._under_way += 1
        self._all_answered.clear()
        if self._aggregates.has(command.streams):
            self._lane_of(entry).add(entry)
        else:
            self._start(self._load(entry))
        try:
            return await answer
        finally:
            # A refusal's traceback keeps these variables, and they the refusal: let go of it.
            del answer, entry

    async def event_of(self, reservation_id: UUID) -> UUID:
        """The event that a reservation is for, from its own stream; raises `ReservationNotFound`."""
        if reservation_id not in self._event_ids:
            values = {"reservation_id": reservation_id, "topic": ReservationPlaced.TOPIC}
            with unrecorded():
                async with self._loading.connection() as connection:
                    row = await (await connection.execute(PLACED, values, binary=True)).fetchone()
            if row is None:
                raise ReservationNotFound
            self._remember(cast(ReservationPlaced, decode(*row)))
        return self._event_ids[reservation_id]

    def _remember(self, placed: ReservationPlaced) -> None:
        self._event_ids[placed.originator_id] = placed.event_id
        if len(self._event_ids) > REMEMBERED_RESERVATIONS:
            self._event_ids.popitem(last=False)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _lane_of(self, entry: Waiting) -> Lane:
        return self._aside if entry.command.event_id in self._set_aside else self._main

    async def _load(self, entry: Waiting) -> None:
        """Bring what the command reads into memory, then queue the command."""
        try:
            with unrecorded():
                async with asyncio.timeout_at(entry.arrived_at + PATIENCE_SECONDS):
                    await self._aggregates.ensure(*entry.command.streams)
        except Failure as failure:
            self._finish(entry, entry.unrecorded(failure))
        except Exception as bug:
            log.exception("an event could not be loaded", event_id=str(entry.command.event_id))
            self._finish(entry, failed_by(bug))
        else:
            self._lane_of(entry).add(entry)

    async def _run(self, lane: Lane) -> None:
        while True:
            await lane.filled.wait()
            lane.filled.clear()
            while lane.queue:
                if entries := self._next_group(lane):
                    await self._commit(lane, entries)

    def _next_group(self, lane: Lane) -> list[Waiting]:
        """Those that go into the next transaction; who has given up waiting is left out."""
        group: list[Waiting] = []
        others: list[Waiting] = []
        while lane.queue and len(group) < self._group_commands:
            entry = lane.queue.popleft()
            if entry.is_over:
                self._finish(entry)
            elif self._lane_of(entry) is not lane or not self._aggregates.has(entry.command.streams):
                self._send_back(entry)
            elif group and (lane.one_event and entry.command.event_id != group[0].command.event_id):
                others.append(entry)
            elif entry.attempt is Attempt.ALONE and group:
                others.append(entry)
                break
            else:
                group.append(entry)
                if entry.attempt is Attempt.ALONE:
                    break
        lane.queue.extendleft(reversed(others))
        return group

    async def _commit(self, lane: Lane, entries: list[Waiting]) -> None:
        """Answer all of them or send them on, whatever happens: the next group has its turn."""
        lane.under_way, lane.began_at = entries, self._clock()
        try:
            answers = await lane.writer.record(entries)
        except OthersWriteOn:
            for entry in entries:
                self._finish(entry, entry.unrecorded(EventBusy()))
        except StreamsBusy:
            self._wait_on(entries)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and self._closing:
                raise
            tell(entries, error)
            for entry in entries:
                self._go_on(entry, error)
        else:
            for entry, answer in zip(entries, answers, strict=True):
                self._take(entry, answer)
            if lane.one_event and not lane.has_only(entries[0].command.event_id):
                # One that stays in demand would wait again and again for those that are still locked.
                self._set_aside.discard(entries[0].command.event_id)
        finally:
            lane.under_way, lane.began_at = [], None

    def _take(self, entry: Waiting, answer: Outcome | Exception | Undecided) -> None:
        event_id = entry.command.event_id
        if answer is Undecided.BUSY:
            if event_id not in self._set_aside:
                log.warning("an event that another process keeps locked is set aside", event_id=str(event_id))
            self._set_aside.add(event_id)
            self._send_back(entry)
        elif answer is Undecided.UNFINISHED:
            self._send_back(entry)
        else:
            if isinstance(answer, DecisionFailed):
                kind, request_id = type(entry.command).__name__, str(entry.command.request_id)
                log.error("a decision failed", command=kind, request_id=request_id, exc_info=answer.__cause__)
            self._finish(entry, answer)

    def _wait_on(self, entries: list[Waiting]) -> None:
        """Back to the end of the queue, until they have waited long enough."""
        for entry in entries:
            if self._clock() - entry.arrived_at >= BUSY_SECONDS:
                self._finish(entry, entry.unrecorded(EventBusy()))
            else:
                self._send_back(entry)

    def _go_on(self, entry: Waiting, error: BaseException) -> None:
        match next_after(entry.attempt, error):
            case Attempt() as attempt:
                entry.attempt = attempt
                self._send_back(entry)
            case answer:
                self._finish(entry, answer)

    def _send_back(self, entry: Waiting) -> None:
        """Into the queue where its event is now, by way of loading it if it is not in memory any more."""
        if self._clock() - entry.arrived_at >= PATIENCE_SECONDS:
            self._finish(entry, entry.unrecorded(Overloaded()))
        elif self._aggregates.has(entry.command.streams):
            self._lane_of(entry).add(entry)
        else:
            self._start(self._load(entry))

    def _finish(self, entry: Waiting, answer: Outcome | Exception | None = None) -> None:
        """The command is on its way no longer."""
        self._under_way -= 1
        if not self._under_way:
            self._all_answered.set()
        if isinstance(answer, Outcome) and isinstance(answer.answer, ReservationRecord):
            self._remember(answer.answer.placed)
        if answer is not None:
            entry.settle(answer)

    async def _look_after(self) -> None:
        """Let nobody wait too long for a group that is slow, and end silent sessions that it waits for."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for lane in (self._main, self._aside):
                if lane.began_at is None or self._clock() - lane.began_at < SLOW_SECONDS:
                    continue
                for entry in (*lane.under_way, *lane.queue):
                    if self._clock() - entry.arrived_at >= PATIENCE_SECONDS:
                        entry.settle(DatabaseAway())
                if lane.writer.backend_pid is not None and not lane.is_looked_into:
                    lane.is_looked_into = True
                    self._start(self._end_silent_holders(lane))

    async def _end_silent_holders(self, lane: Lane) -> None:
        try:
            async with self._loading.connection() as connection:
                row = await (await connection.execute(END_SILENT_HOLDERS, (lane.writer.backend_pid,))).fetchone()
                if row and row[0]:
                    log.warning("sessions that held locks and were silent were ended", pids=row[0])
        except psycopg.Error as error:
            # The group that waits tells it as well; it is looked into again.
            log.info("silent sessions could not be looked for", error=repr(error))
        finally:
            lane.is_looked_into = False


def tell(entries: list[Waiting], error: BaseException) -> None:
    """Log why a group has no answers."""
    if isinstance(error, (*CONNECTION_LOST, *NOTHING_RECORDED)):
        log.warning("a group failed", commands=len(entries), error=repr(error))
    else:
        request_id = str(entries[0].command.request_id)
        log.exception("a group failed: its commands go one by one", commands=len(entries), request_id=request_id)


@contextmanager
def unrecorded() -> Iterator[None]:
    """For what comes before a command is in the queue: when it fails, nothing of the command was recorded."""
    try:
        yield
    except TimeoutError as error:
        raise DatabaseAway from error
    except CONNECTION_LOST as error:
        raise failure_of(error) from error
