"""No organiser has two events with one title and start: the table of names is written with the history."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from structlog.testing import capture_logs

from domain.commands import Command, CreateEvent
from domain.errors import EventExists, EventNotFound
from domain.event_facts import EventCreated
from domain.ticketed_event import EventRecord
from eventstore.postgres.connections import Connection, connect
from eventstore.writing import unique_event_names
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from tests import box_office

ALL_NAMES = "SELECT organiser_id, title_folded, starts_at, event_id FROM event_names ORDER BY event_id"
RENAME = """
UPDATE stored_events SET state = convert_to(replace(convert_from(state, 'UTF8'), ' II"', '"'), 'UTF8')
WHERE originator_id = %(event_id)s
"""


async def taken(connection: Connection) -> list[tuple[Any, ...]]:
    return await (await connection.execute(ALL_NAMES)).fetchall()


@pytest.fixture
async def organiser(connection: Connection) -> UUID:
    (organiser,) = await box_office.register(connection, 1)
    return organiser


async def test_a_name_is_taken_once(connection: Connection, commands: GroupCommit, organiser: UUID) -> None:
    first = box_office.create(organiser, title="Night of Strings")
    await commands.submit(first)
    for title in ("Night of Strings", "  night OF strings ", "NIGHT OF STRINGS"):
        with pytest.raises(EventExists) as refusal:
            await commands.submit(box_office.create(organiser, title=title))
        assert refusal.value.event_id == first.event_id
    assert [row[1:2] for row in await taken(connection)] == [("night of strings",)]


async def test_another_title_start_or_organiser_is_another_name(connection: Connection, commands: GroupCommit) -> None:
    organiser, other = await box_office.register(connection, 2)
    later = box_office.TOMORROW + timedelta(minutes=1)
    asked = [
        box_office.create(organiser, title="Strings"),
        box_office.create(organiser, title="Strings", starts_at=later),
        box_office.create(organiser, title="Strings II"),
        box_office.create(other, title="Strings"),
    ]
    assert box_office.count(await box_office.submit_all(commands, asked), Outcome) == 4


async def test_two_who_want_one_name_at_once(
    database_url: str, connection: Connection, commands: GroupCommit, organiser: UUID
) -> None:
    async with GroupCommit(database_url) as other:
        with capture_logs() as logs:
            for number in range(10):
                asked: list[CreateEvent] = [
                    box_office.create(organiser, title=title) for title in (f"Concert {number}", f" CONCERT {number}")
                ]
                answers = await asyncio.gather(
                    commands.submit(asked[0]), other.submit(asked[1]), return_exceptions=True
                )
                first = next(answer for answer in answers if isinstance(answer, Outcome))
                second = next(answer for answer in answers if isinstance(answer, EventExists))
                assert isinstance(first.answer, EventRecord)
                assert second.event_id == first.answer.created.originator_id
    assert logs == [], "the second waits for the first, so that no group fails"
    assert (await box_office.judged_history(connection)).count(EventCreated) == len(await taken(connection)) == 10


async def test_two_changes_to_one_name_at_once(
    database_url: str, connection: Connection, commands: GroupCommit, organiser: UUID
) -> None:
    async with GroupCommit(database_url) as other:
        for number in range(10):
            events = [box_office.create(organiser) for _ in range(2)]
            for process, event in zip((commands, other), events, strict=True):
                await process.submit(event)
            answers = await asyncio.gather(
                *(
                    process.submit(box_office.change(event.event_id, organiser, title=f"New {number}"))
                    for process, event in zip((other, commands), events, strict=True)
                ),
                return_exceptions=True,
            )
            assert sorted(type(answer).__name__ for answer in answers) == ["EventExists", "Outcome"]
    assert await made_again(connection) == await taken(connection)


async def test_a_change_obeys_and_frees_the_old_name(
    connection: Connection, commands: GroupCommit, organiser: UUID
) -> None:
    strings, brass = (box_office.create(organiser, title=title) for title in ("Strings", "Brass"))
    await box_office.submit_all(commands, [strings, brass])
    with pytest.raises(EventExists):
        await commands.submit(box_office.change(brass.event_id, organiser, title="STRINGS"))
    same = await commands.submit(box_office.change(brass.event_id, organiser, title=" brass"))
    assert isinstance(same.answer, EventRecord)
    await commands.submit(box_office.change(strings.event_id, organiser, title="Winds"))
    await commands.submit(box_office.change(brass.event_id, organiser, title="Strings"))
    with pytest.raises(EventExists):
        await commands.submit(box_office.create(organiser, title="winds"))
    assert {row[1] for row in await taken(connection)} == {"winds", "strings"}


async def test_a_cancelled_event_frees_its_name(connection: Connection, commands: GroupCommit, organiser: UUID) -> None:
    event = box_office.create(organiser, title="Strings")
    await commands.submit(event)
    again = box_office.create(organiser, title="Strings")
    asked: list[Command] = [box_office.cancel_event(event.event_id, organiser), again]
    answers = await box_office.submit_all(commands, asked)
    assert box_office.count(answers, Outcome) == 2
    assert [row[3] for row in await taken(connection)] == [again.event_id]


async def test_a_name_that_was_not_recorded_is_not_taken(
    connection: Connection, commands: GroupCommit, organiser: UUID
) -> None:
    with pytest.raises(Exception, match="must lie in the future"):
        await commands.submit(box_office.create(organiser, starts_at=box_office.TOMORROW - timedelta(days=9)))
    assert await taken(connection) == []


async def test_names_made_again_equal_the_table(
    database_url: str,
    connection: Connection,
    commands: GroupCommit,
    organiser: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = [box_office.create(organiser) for _ in range(6)]
    await box_office.submit_all(commands, events)
    first, second, third, fourth, *_ = (event.event_id for event in events)
    for command in (
        box_office.change(first, organiser, title="Renamed"),
        box_office.change(second, organiser, title="Renamed too", city="Ghent"),
        box_office.change(third, organiser, starts_at=box_office.TOMORROW + timedelta(hours=1)),
        box_office.cancel_event(fourth, organiser),
        box_office.cancel_event(second, organiser),
        box_office.create(organiser, title="Renamed too"),
    ):
        await commands.submit(command)
    before = await taken(connection)
    assert len(before) == 5
    monkeypatch.setattr(unique_event_names, "FETCH_ROWS", 3)
    assert await made_again(connection) == before
    async with await connect(database_url) as other, other.transaction():
        assert await unique_event_names.make_again(other) == 5
    assert await taken(connection) == before


async def test_of_two_titles_that_were_one_all_along_the_first_has_the_name(
    database_url: str, connection: Connection, commands: GroupCommit, organiser: UUID
) -> None:
    first, second = [box_office.create(organiser, title=title) for title in ("Soire\u0301e", "Soir\u00e9e II")]
    for event in (first, second):
        await commands.submit(event)
    with pytest.raises(EventExists):
        await commands.submit(box_office.create(organiser, title="Soir\u00e9e"))
    # As it was recorded while an accent that was encoded in another way made another name.
    with psycopg.connect(database_url, options="-c search_path=tixxety -c session_replication_role=replica") as owner:
        owner.execute(RENAME, {"event_id": second.event_id})
    assert [(row[1], row[3]) for row in await made_again(connection)] == [("soir\u00e9e", first.event_id)]


async def made_again(connection: Connection) -> list[tuple[Any, ...]]:
    """What the names would be if they were made from the history; undone."""
    await connection.execute("BEGIN")
    await unique_event_names.make_again(connection)
    made = await taken(connection)
    await connection.execute("ROLLBACK")
    return made


async def test_an_event_that_was_unknown_is_renamed_under_its_organisers_lock(
    database_url: str, connection: Connection, commands: GroupCommit, organiser: UUID
) -> None:
    event = box_office.create(organiser)
    async with GroupCommit(database_url) as early:
        with pytest.raises(EventNotFound):
            await early.submit(box_office.change(event.event_id, organiser, title="Too early"))
        await commands.submit(event)
        await box_office.lock_event(connection, organiser)
        renaming = asyncio.create_task(early.submit(box_office.change(event.event_id, organiser, title="Another")))
        query = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
        await box_office.until(lambda: box_office.only(connection, query))
        assert not renaming.done()
        await box_office.unlock(connection)
        assert isinstance(await renaming, Outcome)
