"""Reads what is to be exported: the whole history with its seals, or one event's part of it with what proves it."""

from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator
from uuid import UUID

from psycopg.rows import args_row

from auditing.export.errors import EventUnknown
from auditing.export.records import Record, SealRecord, domain_event_record
from eventstore import reading
from eventstore.postgres.connections import Connection
from eventstore.reading import StoredRow
from eventstore.seals import seals
from eventstore.seals.merkle import leaf_hash, proof
from eventstore.seals.seals import FINGERPRINT_BYTES, Seal
from projections.tables.audit_trail import RESERVATION_TOPICS

PAGE_ROWS = 4_096
# The largest have fingerprints of 64 KiB each.
PAGE_SEALS = 128

# Goes on from the seal before, so that all of these together walk through the seals once.
SEAL_OF = """
SELECT number, first_position, last_position, sealed_at, jws, fingerprints FROM seals
WHERE number > %(number)s AND last_position >= %(position)s ORDER BY number LIMIT 1
"""


async def expect_event(connection: Connection, event_id: UUID) -> None:
    """Raises `EventUnknown` where the history has no event of this id."""
    rows = await reading.stream_after(connection, event_id, 0, 1)
    if not rows or rows[0].topic in RESERVATION_TOPICS:
        raise EventUnknown(event_id)


async def everything(connection: Connection) -> AsyncIterator[list[Record]]:
    """All domain events in order, and each seal after the last one of its range. Memory is bounded."""
    ahead = _SealsAhead(connection)
    position = 0
    while rows := await reading.rows_after(connection, position, PAGE_ROWS):
        position = rows[-1].position
        yield _with_seals(rows, await ahead.through(position))
    # Of seals that cover more than there is, the rows were deleted.
    while rest := await ahead.next_page():
        yield list(map(_whole, rest))


async def one_event(connection: Connection, event_id: UUID) -> AsyncIterator[list[Record]]:
    """An event's stream and those of its reservations in order, and the seals of the ranges that have any of them.

    Whatever a reservation's stream records is recorded in the event's by the same command, so ranges without the
    event's stream are never read. Cost grows with the ranges that are.
    """
    part = _Part(event_id)
    version = number = 0
    while rows := await reading.stream_after(connection, event_id, version, 1):
        version = rows[0].version
        seal = await _seal_of(connection, number, rows[0].position)
        if seal is None:
            break
        if rows[0].position < seal.first_position:
            yield [domain_event_record(rows[0])]
            continue
        number = seal.number
        yield await part.of_range(connection, seal)
        version = max(version, part.version)
    else:
        return
    newest = await seals.newest(connection)
    position = newest.last_position if newest else 0
    while rows := await reading.rows_after(connection, position, PAGE_ROWS):
        position = rows[-1].position
        yield part.of(rows)


class _SealsAhead:
    """The seals in order, a page at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._page: deque[Seal] = deque()
        self._number = 0

    async def through(self, position: int) -> list[Seal]:
        """The next seals that end at a position or before it."""
        ended: list[Seal] = []
        while True:
            if not self._page:
                self._page.extend(await self.next_page())
            if not self._page or self._page[0].last_position > position:
                return ended
            ended.append(self._page.popleft())

    async def next_page(self) -> list[Seal]:
        """All that are at hand, or else the next ones."""
        page = list(self._page) or await seals.after(self._connection, self._number, PAGE_SEALS)
        self._page.clear()
        self._number = page[-1].number if page else self._number
        return page


class _Part:
    """The part of the history that is about one event; `version` is the last one seen of its own stream."""

    def __init__(self, event_id: UUID) -> None:
        self.version = 0
        self._event_id = event_id
        # States are written without blanks, and text in them has no bare quotes.
        self._mark = f'"event_id":"{event_id}"'.encode()

    def has(self, row: StoredRow) -> bool:
        """Whether the row is of the event's stream, or of a reservation's for it."""
        if row.stream_id == self._event_id:
            self.version = row.version
            return True
        return row.topic in RESERVATION_TOPICS and self._mark in row.state

    def of(self, rows: list[StoredRow]) -> list[Record]:
        """Its domain events among these."""
        return [domain_event_record(row) for row in rows if self.has(row)]

    async def of_range(self, connection: Connection, seal: Seal) -> list[Record]:
        """Its domain events in a seal's range, and the seal with the hashes of all others there."""
        records: list[Record] = []
        leaves: list[bytes] = []
        places: list[int] = []
        position = seal.first_position - 1
        while position < seal.last_position:
            limit = min(PAGE_ROWS, seal.last_position - position)
            rows = await reading.rows_after(connection, position, limit)
            if not rows:
                break
            position = rows[-1].position
            for row in rows:
                if row.position > seal.last_position:
                    break
                if self.has(row):
                    places.append(len(leaves))
                    records.append(domain_event_record(row))
                leaves.append(leaf_hash(row))
        missing = tuple(hash_.hex() for hash_ in proof(leaves, places))
        records.append(SealRecord(*seal[:5], _fingerprints(seal, places), missing))
        return records


async def _seal_of(connection: Connection, number: int, position: int) -> Seal | None:
    """The first seal behind seal `number` that covers a position, or what comes after it."""
    cursor = connection.cursor(binary=True, row_factory=args_row(Seal))
    await cursor.execute(SEAL_OF, {"number": number, "position": position})
    return await cursor.fetchone()


def _with_seals(rows: list[StoredRow], ended: list[Seal]) -> list[Record]:
    records: list[Record] = []
    done = 0
    for seal in ended:
        upto = max(done, bisect_right(rows, seal.last_position, key=lambda row: row.position))
        records += map(domain_event_record, rows[done:upto])
        records.append(_whole(seal))
        done = upto
    records += map(domain_event_record, rows[done:])
    return records


def _whole(seal: Seal) -> SealRecord:
    return SealRecord(*seal)


def _fingerprints(seal: Seal, places: list[int]) -> bytes:
    size = FINGERPRINT_BYTES
    return b"".join(seal.fingerprints[place * size : (place + 1) * size] for place in places)
