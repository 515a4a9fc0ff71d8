"""`tixxety replay` as its users type it: a moment, a line in time, and one sentence for what can't be."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import typer

from bench.filling import filling
from tests.tixxety.forked import run_command as tixxety
from tixxety.commands.all_commands import load
from tixxety.commands.replay import look, play, replay
from tixxety.errors import WrongArgument
from tixxety.terminal.replay_tables import BAR_CELLS, bar

YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


@pytest.fixture
def event_id(database_url: str) -> UUID:
    """An event with 10 tickets, 4 reservations a second apart, every other one paid."""
    with filling(database_url) as filled:
        event = filled.open_event(YESTERDAY, capacity=10)
        for second in range(1, 5):
            filled.reserve(event, uuid4(), YESTERDAY + timedelta(seconds=second), pay=second % 2 == 0)
        return event.id


@pytest.fixture
def at_home(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command in this process means the test's database."""
    monkeypatch.setenv("DATABASE_URL", database_url)


@pytest.mark.usefixtures("at_home")
def test_a_moment_is_shown_for_people_and_for_machines(event_id: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    replay(event_id, position=8)
    shown = capsys.readouterr().out
    assert "As of position 7," in shown
    assert ["Standing", "10", "0", "1", "1", "8"] in [line.split() for line in shown.splitlines()]
    assert "\x1b" not in shown
    replay(event_id, at=YESTERDAY + timedelta(seconds=2), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["position"], len(told["holds"])) == (7, 1)
    assert [(one["reserved"], one["paid"], one["available"]) for one in told["ticket_types"]] == [(1, 1, 8)]


@pytest.mark.usefixtures("at_home")
def test_a_story_is_told_in_sentences_and_as_lines_of_json(event_id: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    replay(event_id, story=True)
    created, sales = capsys.readouterr().out.splitlines()
    assert created.startswith("        1  ")
    assert "Z  The organiser created the event “" in created
    at = f"{YESTERDAY + timedelta(seconds=4):%Y-%m-%d %H:%M:%S}.000Z"
    told = "Standing 4 held, 2 paid for 50.00 EUR, with 4 of 10 then taken."
    assert sales == f"       13  {at}  In 3.0 s: {told}"
    replay(event_id, story=True, as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["type"], one["first_position"], one["position"]) for one in lines] == [
        ("EventCreated", 1, 1),
        ("sales", 2, 13),
    ]


@pytest.mark.usefixtures("at_home")
def test_a_whole_on_sale_is_played_as_lines(event_id: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    replay(event_id, follow=True, speed=1000)
    lines = capsys.readouterr().out.splitlines()
    at = f"{YESTERDAY + timedelta(seconds=4):%Y-%m-%d %H:%M:%S}.000Z"
    assert len(lines) == 7
    assert lines[-1] == f"       13  {at}  [####++++............]  1 Standing paid; 4 of 10 taken"


def test_machines_get_a_line_of_json_for_each_command(
    database_url: str, event_id: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(play(database_url, event_id, 1e9, as_json=True))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["position"] for line in lines] == [1, 3, 5, 7, 9, 11, 13]
    assert [line["ticket_types"][0]["available"] for line in lines] == [10, 9, 8, 8, 7, 6, 6]
    assert lines[1].keys() == {"position", "at", "what", "actor_id", "request_id", "ticket_types"}


def test_what_can_not_be_shown_is_one_sentence(database_url: str, event_id: UUID) -> None:
    beyond = tixxety("replay", "--event", str(event_id), "--position", "14", DATABASE_URL=database_url)
    said = "tixxety: The history ends at position 13. Ask for that one, or for one before it.\n"
    assert (beyond.returncode, beyond.stdout, beyond.stderr) == (2, "", said)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"at": YESTERDAY, "position": 1},
        {"position": 1, "follow": True},
        {"story": True, "follow": True},
        {"position": 1, "speed": 2.0},
    ],
)
def test_exactly_one_way_to_replay_has_to_be_asked_for(wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongArgument):
        replay(uuid4(), **wrong)


@pytest.mark.parametrize(
    ("option", "texts"),
    [
        ("--event", ("7", "concert", "")),
        ("--at", ("2030-05-01T19:30:00", "2030-05-01", "now", "0001-01-01", "")),
        ("--position", ("-1", "1.5", "²", "9" * 20, "")),
        ("--speed", ("0", "-2", "nan", "inf", "fast", "")),
    ],
)
def test_arguments_that_can_not_be_used_are_named(option: str, texts: tuple[str, ...]) -> None:
    for text in texts:
        with pytest.raises(typer.BadParameter) as wrong:
            load("replay").make_context("replay", ["--event", str(uuid4()), option, text])
        said = wrong.value.format_message()
        assert said.startswith(f"Invalid value for '{option}': ")
        assert "\n" not in said


def test_instants_are_the_same_in_every_zone() -> None:
    here, there = (
        load("replay").make_context("replay", ["--event", str(uuid4()), "--at", text]).params["at"]
        for text in ("2030-05-01T21:30:00+02:00", "2030-05-01T19:30:00Z")
    )
    assert here == there == datetime(2030, 5, 1, 19, 30, tzinfo=UTC)


async def test_a_moment_can_be_looked_at_by_instant(database_url: str, event_id: UUID) -> None:
    moment = await look(database_url, event_id, YESTERDAY + timedelta(seconds=3), 0)
    assert (moment.position, len(moment.holds)) == (9, 2)


@pytest.mark.parametrize("capacity", [1, 7, 500, 10_000_000])
def test_the_bar_is_as_wide_as_it_is_and_shows_whatever_is_taken(capacity: int) -> None:
    for taken in {0, 1, capacity // 2, capacity - 1, capacity}:
        for paid in {0, min(1, taken), taken // 2, taken}:
            drawn = bar(paid, taken, capacity)
            assert len(drawn) == BAR_CELLS
            assert ("#" in drawn) == (paid > 0)
            assert ("." not in drawn) if taken == capacity else True
            assert drawn.count("#") + drawn.count("+") > 0 or taken == 0
