"""The names of time zones that are taken, and the local times that they make of instants."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from api.http.time_zones import local, midnights, zone_names

SUMMER = datetime(2030, 7, 1, 17, 30, tzinfo=UTC)


def test_every_name_that_is_kept_has_data_on_this_machine_and_is_kept_as_it_is() -> None:
    for name in set(zone_names().values()):
        assert ZoneInfo(name).utcoffset(SUMMER) is not None
        assert zone_names()[name] == name


def test_an_older_name_shows_the_same_time_as_the_one_it_leads_to() -> None:
    for name in zone_names().keys() & available_timezones():
        assert local(SUMMER, name) == local(SUMMER, zone_names()[name]), name


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Europe/Riga", "Europe/Riga"),
        ("Europe/Amsterdam", "Europe/Amsterdam"),
        ("Europe/Kiev", "Europe/Kyiv"),
        ("US/Pacific", "America/Los_Angeles"),
        ("Etc/UTC", "UTC"),
        ("Zulu", "UTC"),
        ("Etc/GMT+5", "Etc/GMT+5"),
    ],
)
def test_names_lead_to_todays(name: str, kept: str) -> None:
    assert zone_names()[name] == kept


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Europe/Riga", "2030-07-01T20:30:00+03:00"),
        ("Asia/Kolkata", "2030-07-01T23:00:00+05:30"),
        ("UTC", "2030-07-01T17:30:00+00:00"),
        ("Mars/Olympus", "2030-07-01T17:30:00+00:00"),
    ],
)
def test_local_time_has_its_offset(name: str, shown: str) -> None:
    assert local(SUMMER, name) == shown


def test_local_times_keep_microseconds_and_the_absence_of_an_instant() -> None:
    assert local(SUMMER + timedelta(microseconds=1), "UTC") == "2030-07-01T17:30:00.000001+00:00"
    assert local(None, "Europe/Riga") is None


@pytest.mark.parametrize(
    "name",
    # Clocks are changed at midnight, in the hour before or after it, at three in the morning, and never.
    ["America/Santiago", "Africa/Cairo", "America/Havana", "America/Nuuk", "Europe/Riga", "UTC"],
)
def test_a_day_begins_with_the_first_instant_that_a_clock_there_shows_of_it(name: str) -> None:
    zone = ZoneInfo(name)
    begins = midnights(SUMMER, SUMMER + timedelta(days=400), name)
    first = SUMMER.astimezone(zone).date()
    assert [at.astimezone(zone).date() for at in begins] == [first + timedelta(n) for n in range(len(begins))]
    assert begins[-2] > SUMMER + timedelta(days=400)
    for at in begins:
        assert at.tzinfo is UTC
        assert (at - timedelta(microseconds=1)).astimezone(zone).date() < at.astimezone(zone).date()
    lengths = {(b - a) / timedelta(hours=1) for a, b in pairwise(begins)}
    assert lengths == ({24} if name == "UTC" else {23, 24, 25})
