"""The one way to write: commands that wait while one transaction is under way go together into the next."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self, cast
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import PoolTimeout, TooManyRequests

from domain.commands import AnyCommand
from domain.refusals import ReservationNotFound
from domain.reservation import ReservationPlaced, ReservationRecord
from domain.ticketed_event import TicketedEvent
from eventstore.aggregates import Aggregates
from eventstore.codec import decode
from eventstore.connections import BY_INDEX, CONNECTION_LOST, Connection, connect, pool
from eventstore.failures import DatabaseAway, Overloaded
from eventstore.group import Group, Outcome, TailTooLong, failed_by
from eventstore.refused import Keeping

LOADING_CONNECTIONS = 2
REMEMBERED_RESERVATIONS = 100_000
# How often a group is given up to catch up outside its locks before it waits for its turn no longer.
CATCH_UPS = 5
# A server that is frozen never answers, and nobody may wait for ever.
GROUP_SECONDS_MAX = 30
OUTCOME_UNKNOWN = (*CONNECTION_LOST, TimeoutError)

PLACED = """
SELECT originator_id, originator_version, topic, state FROM stored_events
WHERE originator_id = %(reservation_id)s AND originator_version = 1 AND topic = %(topic)s
"""

log = structlog.get_logger()


class Waiting(NamedTuple):
    """A command in the queue, and the one who waits for its answer."""

    command: AnyCommand
    answer: asyncio.Future[Outcome]


class GroupCommit:
    """Decides and records the commands of one process; any number of processes may do so at once.

    At most `group_commands` go into one transaction and `queue_commands` may wait; beyond that, `Overloaded`.
    """

    def __init__(self, database_url: str, *, group_commands: int = 256, queue_commands: int = 4_096) -> None:
        self._database_url = database_url
        self._group_commands = group_commands
        self._queue_commands = queue_commands
        self._under_way = 0
        self._queue: deque[Waiting] = deque()
        self._filled = asyncio.Event()
        self._connection: Connection | None = None
        self._was_connected = False
        self._loading = pool(database_url, LOADING_CONNECTIONS, **BY_INDEX)
        self._aggregates = Aggregates(self._loading)
        self._event_ids: OrderedDict[UUID, UUID] = OrderedDict()
        self._keeping = Keeping()
        self._closing = False

    async def __aenter__(self) -> Self:
        await self._loading.open()
        self._task = asyncio.create_task(self._run(), name="group commit")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Answer what waits already, then close; a command that comes later is refused as overload."""
        self._closing = True
        self._filled.set()
        await self._task
        await self._disconnect()
        await self._loading.close()

    async def submit(self, command: AnyCommand) -> Outcome:
        """Decide and record one command; returns once it is durable.

        Raises a `Refusal`; `Overloaded` when too many wait; `DatabaseAway` when its outcome is unknown.
        Giving up waiting does not take the command back.
        """
        if self._under_way >= self._queue_commands:
            raise Overloaded
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._under_way += 1
        if command.event_id not in self._aggregates:
            try:
                with unrecorded():
                    await self._aggregates.ensure(command.event_id)
            except BaseException:
                self._under_way -= 1
                raise
        if self._closing or self._task.done():
            self._under_way -= 1
            raise Overloaded
        self._queue.append(Waiting(command, answer))
        self._filled.set()
        try:
            return await answer
        finally:
            # A refusal's traceback keeps this variable, and this variable the refusal: let go of it.
            del answer

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

    async def _run(self) -> None:
        while not self._closing or self._queue:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                size = min(len(self._queue), self._group_commands)
                await self._commit([self._queue.popleft() for _ in range(size)])

    async def _commit(self, waiting: list[Waiting]) -> None:
        """Answer all of them, whatever happens: nobody waits for ever, and the next group has its turn."""
        try:
            answers = await self._recorded([entry.command for entry in waiting])
        except Exception:
            log.exception("a group was lost", commands=len(waiting))
            answers = [DatabaseAway() for _ in waiting]
        for entry, answer in zip(waiting, answers, strict=True):
            self._under_way -= 1
            if isinstance(answer, Outcome) and isinstance(answer.answer, ReservationRecord):
                self._remember(answer.answer.placed)
            if entry.answer.done():
                continue
            if isinstance(answer, Exception):
                entry.answer.set_exception(answer)
            else:
                entry.answer.set_result(answer)

    async def _recorded(self, commands: list[AnyCommand]) -> list[Outcome | Exception]:
        """The group's answers. An unknown outcome is tried once more: ids are fixed, so it finds its own work."""
        try:
            return await self._transact(commands)
        except psycopg.errors.LockNotAvailable:
            log.warning("an event was locked for too long", commands=len(commands))
            return await self._recorded_by_event(commands)
        except OUTCOME_UNKNOWN as error:
            log.warning("a group's outcome is unknown", commands=len(commands), error=repr(error))
            return await self._recorded_again(commands)
        except Exception:
            log.exception("a group failed: its commands go one by one", commands=len(commands))
            return [(await self._recorded_again([command]))[0] for command in commands]

    async def _recorded_by_event(self, commands: list[AnyCommand]) -> list[Outcome | Exception]:
        """So that an event that is locked fails its own commands alone; nothing was recorded yet."""
        places: dict[UUID, list[int]] = {}
        for place, command in enumerate(commands):
            places.setdefault(command.event_id, []).append(place)
        if len(places) == 1:
            return [Overloaded() for _ in commands]
        answers: dict[int, Outcome | Exception] = {}
        for some in places.values():
            answers |= zip(some, await self._recorded([commands[place] for place in some]), strict=True)
        return [answers[place] for place in range(len(commands))]

    async def _recorded_again(self, commands: list[AnyCommand]) -> list[Outcome | Exception]:
        """The second try; whatever is wrong with one command in the end fails that one alone."""
        try:
            return await self._transact(commands, tried_before=True)
        except OUTCOME_UNKNOWN as error:
            log.warning("the database is away", commands=len(commands), error=repr(error))
            return [DatabaseAway() for _ in commands]
        except Exception as error:
            log.exception("commands failed", commands=len(commands), request_id=str(commands[0].request_id))
            if len(commands) == 1:
                return [failed_by(error)]
            return [(await self._recorded_again([command]))[0] for command in commands]

    async def _transact(self, commands: list[AnyCommand], *, tried_before: bool = False) -> list[Outcome | Exception]:
        connection = await self._connected()
        events: dict[UUID, TicketedEvent | None] = {}
        for event_id in {command.event_id for command in commands}:
            await self._aggregates.ensure(event_id)
            events[event_id] = self._aggregates.get(event_id)
        for _ in range(CATCH_UPS):
            group = Group(connection, events, commands, self._keeping, tried_before=tried_before)
            try:
                async with asyncio.timeout(GROUP_SECONDS_MAX):
                    answers = await group.answers()
            except TailTooLong:
                await connection.rollback()
                events = {i: await self._aggregates.catch_up(i, event) for i, event in events.items()}
            except BaseException:
                self._aggregates.drop(events)
                await self._disconnect()
                raise
            else:
                self._aggregates.put_all(events)
                return answers
        return [Overloaded() for _ in commands]

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._database_url, **BY_INDEX)
            # The first statement of a group begins its transaction.
            await self._connection.set_autocommit(False)
            if self._was_connected:
                # The last one may have been lost with its server, and so may those that load.
                await self._loading.check()
            self._was_connected = True
        return self._connection

    async def _disconnect(self) -> None:
        """A closed connection holds no lock and no half transaction."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()


@contextmanager
def unrecorded() -> Iterator[None]:
    """For what comes before a command is in the queue: when it fails, nothing of the command was recorded."""
    try:
        yield
    except (PoolTimeout, TooManyRequests) as error:
        raise Overloaded from error
    except CONNECTION_LOST as error:
        raise DatabaseAway from error
