"""The line in time of an on-sale: a step for each command of the event, with what independent books say of it."""

from typing import Any

import pytest

from auditing.replay.streams import same_connection
from auditing.replay.timeline import RELEASED, Step, Timeline, steps, what_happened
from domain.errors import EventNotFound
from eventstore.postgres.connections import connect
from eventstore.reading import Recorded
from tests.auditing.replay.test_as_of import history
from tests.projections.histories import BoxOffice, Command, append, with_ends
from tests.projections.independent_fold import Books


def recorded(commands: list[Command]) -> list[Recorded]:
    """A history as it would be read."""
    numbered = [(end, it) for command, end in with_ends(commands) for it in command]
    return [Recorded(position, end, it) for position, (end, it) in enumerate(numbered, 1)]


@pytest.mark.parametrize("seed", range(3))
def test_each_command_is_a_step_with_the_counts_after_it(seed: int) -> None:
    commands = BoxOffice(seed).commands(300)
    ours = recorded(commands)
    for event_id in {it.originator_id for command in commands for it in command if it.TOPIC == "EventCreated"}:
        timeline, books, told = Timeline(), Books(), []
        stream = [one for one in ours if one.domain_event.originator_id == event_id]
        for one in stream:
            told += list(timeline.follow([one]))
        told += list(timeline.end())
        ends = sorted({one.command_position for one in stream})
        assert [step.position for step in told] == ends
        for one in ours:
            books.read(one.position, one.domain_event)
            if one.position in ends:
                step = told[ends.index(one.position)]
                assert step.at == one.domain_event.timestamp
                for row in step.ticket_types:
                    known = books.ticket_types[row.ticket_type_id]
                    assert (row.capacity, row.reserved, row.paid, row.withheld) == (
                        known["capacity"],
                        known["reserved"],
                        known["paid"],
                        known["withheld"],
                    )


def test_what_happened_is_said_in_words_for_every_kind_of_domain_event() -> None:
    said: dict[str, str] = {}
    for command in (command for seed in range(5) for command in BoxOffice(seed).commands(400)):
        of_event: list[Any] = [it for it in command if not it.TOPIC.startswith("Reservation")]
        words = what_happened(of_event, {it.ticket_type_id: "A" for it in of_event if hasattr(it, "ticket_type_id")})
        assert "\n" not in words
        said |= {getattr(it, "reason", it.TOPIC): words for it in of_event}
    assert len(said) == 14 + len(RELEASED)
    assert [words for reason, words in RELEASED.items() if words not in said[reason]] == []


def test_tickets_to_which_the_same_happened_are_added_up() -> None:
    commands = BoxOffice(5).commands(600)
    released: list[Any] = [it for command in commands for it in command if it.TOPIC == "TicketsReleased"][:3]
    total = sum(it.quantity for it in released if it.reason == released[0].reason)
    said = what_happened(released, {it.ticket_type_id: "Standing" for it in released})
    assert f"{total} Standing {RELEASED[released[0].reason]}" in said


async def test_the_steps_of_an_event_are_read_in_parts(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = history(2, 120)
    async with await connect(database_url) as connection:
        await append(connection, commands)
        event_id = commands[0][0].originator_id
        at_once = [step async for step in steps(same_connection(connection), event_id)]
        monkeypatch.setattr("auditing.replay.streams.PART_ROWS", 3)
        in_parts: list[Step] = [step async for step in steps(same_connection(connection), event_id)]
        assert in_parts == at_once
        assert len(at_once) > 10
        with pytest.raises(EventNotFound):
            [step async for step in steps(same_connection(connection), commands[0][0].request_id)]
