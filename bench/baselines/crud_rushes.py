"""The CRUD baseline at work: its database, its process, rushes on it, and whether it kept its counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import psycopg

from bench.comparison import Measured
from bench.rushes import HUGE, rush_baseline
from bench.testbed import Testbed

TABLES = Path(__file__).with_name("crud.sql")
OPEN = "INSERT INTO events (id, title, starts_at, total) VALUES (%s, 'Rush', now() + interval '30 days', %s)"
FILL_EVENTS = """
INSERT INTO events (id, title, starts_at, total)
SELECT gen_random_uuid(), 'Filled ' || n, now() + interval '30 days' + n * interval '1 second', %(total)s
FROM generate_series(1, %(events)s::int) AS n
"""
FILL_RESERVATIONS = """
INSERT INTO reservations (id, event_id, buyer_id, quantity, placed_at, hold_expires_at)
SELECT gen_random_uuid(), e.id, buyer_id, 1, now(), now() + interval '1 day'
FROM unnest(%(buyers)s::uuid[]) AS buyer_id, (SELECT id FROM events LIMIT %(reservations)s) AS e
"""
ANY_EVENT = "SELECT id FROM events LIMIT 1"
ONE_OF_EACH = "SELECT DISTINCT ON (buyer_id) buyer_id, id FROM reservations ORDER BY buyer_id, id"
HOLD = """
INSERT INTO reservations (id, event_id, buyer_id, quantity, placed_at, hold_expires_at)
SELECT id, %(event_id)s, buyer_id, 1, now(), now() + interval '1 hour'
FROM unnest(%(ids)s::uuid[], %(buyers)s::uuid[]) AS held (id, buyer_id)
"""
COUNT = "UPDATE events SET sold = %s WHERE id = %s"
WRONG = """
SELECT count(*) FROM events AS e
WHERE sold > total OR sold <> (SELECT coalesce(sum(quantity), 0) FROM reservations WHERE event_id = e.id)
"""


@dataclass(frozen=True)
class CrudBoxOffice:
    """A CRUD box office that runs."""

    testbed: Testbed
    url: str
    database_url: str

    def open_event(self, total: int = HUGE) -> UUID:
        """A new event."""
        event_id = uuid4()
        with psycopg.connect(self.database_url) as connection:
            connection.execute(OPEN, (event_id, total))
        return event_id

    def fill(self, events: int, buyers: list[UUID], reservations: int) -> UUID:
        """So many events, and so many reservations for each of these buyers; one of the events."""
        values = {"events": events, "buyers": buyers, "reservations": reservations, "total": HUGE}
        with psycopg.connect(self.database_url) as connection:
            connection.execute(FILL_EVENTS, values)
            connection.execute(FILL_RESERVATIONS, values)
            ((event_id,),) = connection.execute(ANY_EVENT).fetchall()
        return UUID(str(event_id))

    def one_of_each(self) -> dict[UUID, UUID]:
        """A reservation of each buyer that has one."""
        with psycopg.connect(self.database_url) as connection:
            return dict(connection.execute(ONE_OF_EACH).fetchall())

    def held(self, count: int) -> list[UUID]:
        """Reservations of the first buyers, to be paid."""
        event_id = self.open_event()
        ids = [uuid4() for _ in range(count)]
        with psycopg.connect(self.database_url) as connection:
            connection.execute(HOLD, {"ids": ids, "buyers": self.testbed.buyers[:count], "event_id": event_id})
            connection.execute(COUNT, (count, event_id))
        return ids

    def rush(
        self,
        connections: int,
        seconds: float,
        event_ids: list[UUID] | None = None,
        refusals_expected: bool = False,
        pace: float = 0,
    ) -> Measured:
        """Distinct buyers reserve as fast as they are answered, or `pace` of them a second."""
        bodies = [{"event_id": str(event_id)} for event_id in event_ids or [self.open_event()]]
        measured = rush_baseline(self.testbed, self.url, connections, seconds, bodies, refusals_expected, pace)
        return measured._replace(faults=self.faults())

    def faults(self) -> list[str]:
        """Whether an event counts otherwise than its reservations do."""
        with psycopg.connect(self.database_url) as connection:
            ((wrong,),) = connection.execute(WRONG).fetchall()
        return [f"{wrong} events count wrongly"] if wrong else []


@contextmanager
def opened(testbed: Testbed, processes: int = 1) -> Iterator[CrudBoxOffice]:
    """A CRUD box office that runs until the block ends."""
    database_url = testbed.empty_database()
    with psycopg.connect(database_url) as connection:
        connection.execute(TABLES.read_text())
    try:
        with testbed.baseline("crud", database_url, processes) as url:
            yield CrudBoxOffice(testbed, url, database_url)
    finally:
        testbed.drop(database_url)
