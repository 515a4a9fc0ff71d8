"""A worker seals what was recorded within seconds, forgets old refusals, and others stand by."""

import psycopg
import pytest
from psycopg import sql

from eventstore import reading
from eventstore.postgres.connections import Connection
from eventstore.seals import seals
from tests import box_office
from tests.projections.histories import BoxOffice, append
from tests.workers.conftest import Worker
from workers.periodic_jobs import RefusalRetention, Sealing

OLD_REFUSALS = """
INSERT INTO refused_together (first_request_id, request_ids, account_ids, refused_at, command, event_id, code, facts,
                              position, last_kept)
SELECT gen_random_uuid(), '{}', '{}', clock_timestamp() - make_interval(days => n), 'ReserveTickets',
       gen_random_uuid(), 'event-not-found', '{}', 0, false
FROM generate_series(1, 40) AS n
"""


async def test_all_that_was_recorded_is_sealed_soon(
    connection: Connection, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sealing, "interval_seconds", 1)
    await append(connection, BoxOffice(5).commands(30))

    async def all_sealed() -> bool:
        newest = await seals.newest(connection)
        return newest is not None and newest.last_position == await reading.head(connection)

    async with worker(), worker():
        await box_office.until(all_sealed)
    made = await seals.after(connection, 0, 10)
    assert [seal.number for seal in made] == list(range(1, len(made) + 1))


async def test_a_long_history_is_sealed_at_one_call(
    connection: Connection, at_work: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seals, "RANGE_POSITIONS", 20)
    monkeypatch.setattr(seals, "PAGE_POSITIONS", 20)
    await append(connection, BoxOffice(5).commands(60))
    await Sealing().work(at_work)
    newest = await seals.newest(connection)
    assert newest is not None
    head = await reading.head(connection)
    # A rest that is shorter than a range waits for the next call, with what comes until then.
    assert head - newest.last_position < 20
    assert newest.number >= 3
    await Sealing().work(at_work)
    newest = await seals.newest(connection)
    assert newest is not None
    assert newest.last_position == head


async def test_refusals_older_than_wished_are_forgotten(
    connection: Connection, at_work: Connection, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(sql.SQL("SET search_path = tixxety"))
        owner.execute(OLD_REFUSALS)
    await RefusalRetention(30).work(at_work)
    assert await box_office.only(connection, "SELECT count(*) FROM refused_together") == 29
