"""The order of the history: holes, repeats, halves of commands and what can't be read are named with their places."""

import sys

import pytest

from auditing.findings import KEPT_FINDINGS, Findings, Rule
from auditing.verify.checks.history_pass import HistoryPass
from eventstore.reading import StoredRow
from tests.auditing.broken_histories import found_in, rules_broken, stored
from tests.domain.builders import CONCERT, OTHER_CONCERT, SEATED, created, price_changed
from tests.domain.purchase import ANNS, BOBS
from tests.projections.histories import BoxOffice

# Positions 1, 2–3, 4–5, 6–7.
ROWS = stored([created()], ANNS.reserved(), BOBS.reserved(), ANNS.paid())


def with_row(position: int, **changes: object) -> list[StoredRow]:
    """The rows with one of them changed."""
    return [row._replace(**changes) if row.position == position else row for row in ROWS]  # type: ignore[arg-type]


@pytest.mark.parametrize("part", [1, 2, 1_000])
@pytest.mark.parametrize("seed", range(5))
def test_random_histories_break_no_rule_in_parts_of_any_size(seed: int, part: int) -> None:
    assert found_in(stored(*BoxOffice(seed).commands(300)), part) == []


def test_a_missing_command_is_a_hole_in_the_positions_and_in_the_stream() -> None:
    assert rules_broken([row for row in ROWS if row.position not in (4, 5)]) == {
        (4, Rule.POSITION_HOLE),
        (6, Rule.VERSION_HOLE),
    }


def test_a_missing_half_cuts_its_command() -> None:
    broken = rules_broken(ROWS[:-1])
    assert broken == {(6, Rule.COMMAND_CUT), (6, Rule.STREAMS_DISAGREE)}


def test_a_hole_names_what_is_missing() -> None:
    hole = next(found for found in found_in(ROWS[:1] + ROWS[5:]) if found.rule is Rule.POSITION_HOLE)
    assert (hole.place, hole.sentence) == ("position 2", "Positions 2 to 5 are missing from the history.")


def test_the_first_positions_may_not_be_missing() -> None:
    assert (1, Rule.POSITION_HOLE) in rules_broken(ROWS[1:])


def test_a_position_that_comes_twice_is_named() -> None:
    assert (3, Rule.POSITION_REPEATED) in rules_broken([*ROWS[:3], ROWS[2], *ROWS[3:]])


def test_two_ends_of_one_command_are_named() -> None:
    assert rules_broken(with_row(5, command_position=6)) == {(5, Rule.COMMAND_CUT)}


def test_a_command_that_ends_before_itself_is_named() -> None:
    assert (4, Rule.COMMAND_CUT) in rules_broken(with_row(4, command_position=3))


@pytest.mark.parametrize("state", [b"", b"{", b"null", b"\xff", b'{"timestamp":1}'])
def test_what_is_no_domain_event_is_named(state: bytes) -> None:
    assert (4, Rule.UNREADABLE) in rules_broken(with_row(4, state=state))


def test_the_counterpart_of_what_is_no_domain_event_is_not_missed() -> None:
    assert rules_broken(with_row(3, state=b"{")) == {(3, Rule.UNREADABLE)}


def test_a_version_that_comes_twice_is_named() -> None:
    assert (6, Rule.VERSION_HOLE) in rules_broken(with_row(6, version=3))


def test_a_time_without_a_zone_is_named() -> None:
    state = ROWS[3].state.replace(b'12:00:00Z"', b'12:00:00"', 1)
    assert state != ROWS[3].state
    assert (4, Rule.UNREADABLE) in rules_broken(with_row(4, state=state))


def test_a_type_that_names_a_module_is_not_imported() -> None:
    assert (4, Rule.UNREADABLE) in rules_broken(with_row(4, topic="this:s"))
    assert "this" not in sys.modules


def test_a_part_of_a_history_may_have_holes_between_commands_only() -> None:
    findings = Findings()
    part = HistoryPass(findings, gapless=False)
    part.feed(ROWS[:3] + ROWS[5:])
    part.end()
    assert findings.kept == []
    cut = HistoryPass(findings, gapless=False)
    cut.feed(ROWS[:2] + ROWS[5:])
    cut.end()
    assert {found.rule for found in findings.kept} == {Rule.COMMAND_CUT, Rule.STREAMS_DISAGREE}


def test_the_lowest_positions_are_kept_and_all_are_counted() -> None:
    findings = Findings()
    for position in range(5 * KEPT_FINDINGS, 0, -1):
        findings.add(position, Rule.OVERSOLD, "somewhere", "Too many.")
    findings.add(None, Rule.SNAPSHOT_DIFFERS, "somewhere else", "Not the same.")
    assert findings.count == 5 * KEPT_FINDINGS + 1
    assert [found.position for found in findings.kept] == list(range(1, KEPT_FINDINGS + 1))


def test_the_price_of_an_event_that_was_created_before_is_asked_for() -> None:
    findings = Findings()
    asked = HistoryPass(findings, after=1)
    asked.feed(ROWS[1:])
    assert asked.unknown_events() == [ROWS[0].stream_id]
    asked.learn([ROWS[0].recorded()])
    assert (asked.unknown_events(), findings.kept) == ([], [])


def test_the_price_at_each_position_is_asked_for() -> None:
    rows = stored([created()], [price_changed(1)], ANNS.reserved(), [price_changed(2500)], BOBS.reserved())
    told = [row.recorded() for row in rows]
    in_parts, at_once = Findings(), Findings()
    asked = HistoryPass(in_parts, after=2)
    asked.feed(rows[2:4])
    assert asked.unknown_events() == [CONCERT]
    asked.learn(told[:2])
    asked.feed(rows[4:])
    assert asked.unknown_events() == []
    asked = HistoryPass(at_once, after=2)
    asked.feed(rows[2:])
    asked.learn([told[4], told[1], told[0]])
    for findings in (in_parts, at_once):
        assert [(found.position, found.rule) for found in findings.kept] == [(4, Rule.AMOUNT_WRONG)]


def test_prices_that_were_forgotten_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditing.verify.checks.history_pass.KNOWN_PRICES", 0)
    rows = stored([created()], [created(event_id=OTHER_CONCERT, ticket_types=(SEATED,))], ANNS.reserved())
    asked = HistoryPass(Findings())
    asked.feed(rows)
    assert asked.unknown_events() == [CONCERT]
