"""The time zones that an event may be in, by their IANA names, and what a clock there shows."""

from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import cache, lru_cache
from importlib.resources import files
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

REMEMBERED_ZONES = 1_024


@cache
def zone_names() -> dict[str, str]:
    """Every name that is taken, with the one that it is kept under: that of a place, a fixed offset of Etc, or UTC.

    Older names lead to today's, as Asia/Calcutta to Asia/Kolkata, since not every machine's data has them any more.
    """
    data = files("tzdata.zoneinfo")
    lines = [line.split() for line in data.joinpath("tzdata.zi").read_text().splitlines() if line.startswith("L ")]
    links = {name: target for _, target, name in lines} | {"Etc/UTC": "UTC"}
    places = [line.split("\t") for line in data.joinpath("zone.tab").read_text().splitlines()]
    names = files("tzdata").joinpath("zones").read_text().split()
    kept = {"UTC", *(place[2] for place in places if len(place) > 2 and not place[0].startswith("#"))}
    kept |= {name for name in names if name.startswith("Etc/GMT") and name not in links}
    found = {}
    for name in names:
        today = name
        while today not in kept and today in links:
            today = links[today]
        if today in kept:
            found[name] = today
    return found


def _known(name: str) -> str:
    if name not in zone_names():
        raise ValueError("must be a time zone of IANA, such as Europe/Riga, or UTC")
    return zone_names()[name]


@lru_cache(REMEMBERED_ZONES)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:  # recorded where the data is newer: an instant in UTC is true as well
        return UTC


def on_a_clock(at: datetime, time_zone: str) -> str:
    """The instant as a clock in the time zone shows it, with its offset from UTC."""
    return at.astimezone(_zone(time_zone)).isoformat()


def local(at: datetime | None, time_zone: str) -> str | None:
    """The same, also of an instant that there is none of."""
    return None if at is None else on_a_clock(at, time_zone)


def midnights(first: datetime, last: datetime, time_zone: str) -> list[datetime]:
    """When the days there begin, from the one of the instant `first` on to the second one after `last`, in UTC.

    Where the clock skips midnight a day begins with what it shows next; where it shows midnight twice, with the first.
    """
    zone = _zone(time_zone)
    day, days = first.astimezone(zone).date(), (last.astimezone(zone).date() - first.astimezone(zone).date()).days
    return [datetime.combine(day + timedelta(n), time(), zone).astimezone(UTC) for n in range(days + 3)]


TimeZone = Annotated[
    str,
    AfterValidator(_known),
    Field(
        max_length=100,
        description="IANA's name of the time zone where it takes place; an older name becomes today's.",
        examples=["Europe/Riga"],
    ),
]
LocalTime = Annotated[
    str,
    Field(
        description="The same instant as a clock in the event's `time_zone` shows it.",
        json_schema_extra={"format": "date-time"},
    ),
]
