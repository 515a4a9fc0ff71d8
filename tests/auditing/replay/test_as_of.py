"""As-of at every position and instant of random histories: what a fold written independently says."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from msgspec.structs import asdict

from auditing.replay import as_of, streams
from auditing.replay.as_of import Moment
from auditing.replay.errors import BeyondTheEnd, InTheFuture, NotCreatedYet
from auditing.replay.streams import same_connection
from domain.errors import EventNotFound
from eventstore.postgres.connections import Connection, connect
from tests.projections.histories import BoxOffice, Command, append, with_ends
from tests.projections.independent_fold import Books

LONG_AGO = datetime(2024, 6, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


class Expected(NamedTuple):
    """An event as independent books have it at the end of one of its commands."""

    position: int
    at: datetime
    event: dict[str, Any]
    ticket_types: list[dict[str, Any]]
    holds: dict[UUID, dict[str, Any]]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with await connect(database_url) as connection:
        yield connection


def history(seed: int, count: int) -> list[Command]:
    """Commands of the past, since nobody can ask for the future."""
    box_office = BoxOffice(seed)
    box_office.now = LONG_AGO
    return box_office.commands(count)


def expectations(commands: list[Command]) -> dict[UUID, list[Expected]]:
    """Of each event what it was after each of its commands, in order."""
    books, position = Books(), 0
    expected: dict[UUID, list[Expected]] = {}
    for command, end in with_ends(commands):
        for domain_event in command:
            position += 1
            books.read(position, domain_event)
        steps = Counter(row["reservation_id"] for row in books.audit_trail.values())
        for event_id in {it._as_dict().get("event_id", it.originator_id) for it in command}:
            ours = [dict(row) for row in books.ticket_types.values() if row["event_id"] == event_id]
            holds = {
                reservation_id: {
                    name: row[name] for name in ("buyer_id", "ticket_type_id", "quantity", "hold_expires_at")
                }
                | {"reservation_version": steps[reservation_id]}
                for reservation_id, row in books.reservations.items()
                if (row["event_id"], row["status"]) == (event_id, "reserved")
            }
            known = Expected(end, command[-1].timestamp, dict(books.events[event_id]), ours, holds)
            expected.setdefault(event_id, []).append(known)
    return expected


def told(moment: Moment) -> Expected:
    """A moment in the words of the books."""
    holds = {reservation_id: asdict(hold) for reservation_id, hold in moment.holds.items()}
    rows = [asdict(row) for row in moment.ticket_types]
    return Expected(moment.position, moment.at, asdict(moment.event), rows, holds)


def newest(expected: list[Expected], position: int) -> Expected | None:
    return next((one for one in reversed(expected) if one.position <= position), None)


async def test_at_every_position_it_is_what_an_independent_fold_says(connection: Connection) -> None:
    commands = history(1, 80)
    last = await append(connection, commands)
    compared = 0
    for event_id, expected in expectations(commands).items():
        for position in range(last + 1):
            known = newest(expected, position)
            if known is None:
                with pytest.raises(NotCreatedYet) as refused:
                    await as_of.at_position(same_connection(connection), event_id, position)
                assert (refused.value.created_at, refused.value.position) == (expected[0].at, expected[0].position)
            else:
                assert told(await as_of.at_position(same_connection(connection), event_id, position)) == known
                compared += bool(known.holds)
    assert compared > 20


async def test_at_every_instant_it_is_what_an_independent_fold_says(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PART_ROWS", 7)
    commands = history(3, 80)
    await append(connection, commands)
    for event_id, expected in expectations(commands).items():
        for one in expected:
            known = [other for other in expected if other.at <= one.at][-1]
            assert told(await as_of.at_instant(same_connection(connection), event_id, one.at)) == known
            before = [other for other in expected if other.at <= one.at - TICK]
            if before:
                assert told(await as_of.at_instant(same_connection(connection), event_id, one.at - TICK)) == before[-1]
            else:
                with pytest.raises(NotCreatedYet):
                    await as_of.at_instant(same_connection(connection), event_id, one.at - TICK)


async def test_what_nobody_can_know_is_refused_with_a_sentence(connection: Connection) -> None:
    commands = history(4, 40)
    last = await append(connection, commands)
    event_id = commands[0][0].originator_id
    with pytest.raises(BeyondTheEnd, match=f"ends at position {last}") as beyond:
        await as_of.at_position(same_connection(connection), event_id, last + 1)
    assert beyond.value.last_position == last
    with pytest.raises(InTheFuture, match="lies in the future"):
        await as_of.at_instant(same_connection(connection), event_id, datetime.now(UTC) + timedelta(hours=1))
    reservation_id = next(e.originator_id for command in commands for e in command if e.TOPIC == "ReservationPlaced")
    for unknown in (UUID(int=7), reservation_id):
        with pytest.raises(EventNotFound):
            await as_of.at_position(same_connection(connection), unknown, last)
