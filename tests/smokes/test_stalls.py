"""The smoke of the stalls campaign: on one server, with and without a trip under way."""

import asyncio
from contextlib import ExitStack

import pytest

from tests.campaigns import stalls
from tests.conftest import fresh_database

NAMES = ("frozen with an event's lock, in a trip", "black hole before COMMIT")


async def test_another_process_does_not_wait_for_one_that_is_silent(
    server_url: str, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalls, "AFTER_SECONDS", 1.0)
    with ExitStack() as databases:
        urls = [databases.enter_context(fresh_database(server_url, template)) for _ in NAMES]
        at_once = (stalls.longest_gap(url, stalls.STALLS[name]) for url, name in zip(urls, NAMES, strict=True))
        gaps = {name: gap for name, (gap, _) in zip(NAMES, await asyncio.gather(*at_once), strict=True)}
    # The bound is the campaign's; a loaded machine gets as much again.
    longest = 2 * stalls.LONGEST_GAP_SECONDS
    assert {name: gap for name, gap in gaps.items() if max(gap.hot_seconds, gap.other_seconds) >= longest} == {}
