"""What the property tests draw from: few values that meet often, and now and then one that does not fit."""

from datetime import timedelta
from typing import Any

import hypothesis.strategies as st

from domain.event_facts import EventDetails, SalesWindow
from tests.domain.builders import ADMIN, ANN, BOB, CLEO, INSTANT, NOON, ORGANISER

STEP = timedelta(seconds=30)
UNKNOWN = 99
TITLES = ["Night of Strings", " night of STRINGS", "Night of Brass"]

anyone = st.sampled_from([ANN, BOB, CLEO, ORGANISER])
organisers = st.sampled_from([ORGANISER] * 6 + [ADMIN, ANN])
# Instants fall on the same few steps, so that they meet; a step is half of the shortest hold.
instants = st.integers(8, 40).map(lambda steps: NOON + steps * STEP)
passing = st.sampled_from(
    [timedelta(0)] * 4 + [INSTANT, STEP, STEP, 2 * STEP, 2 * STEP, 5 * STEP, -INSTANT, -STEP, -9 * STEP]
)
newest_first = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4, 5, 6, UNKNOWN])
buyer_or = st.sampled_from([None] * 7 + [ANN, BOB])
event_places = st.sampled_from([0] * 10 + [1] * 10 + [UNKNOWN])
type_places = st.sampled_from([0] * 10 + [1] * 6 + [None, UNKNOWN])
keys = st.sampled_from([None, None, "k1", "k2"])
quantities = st.sampled_from([1, 1, 1, 1, 2, 3])
parts = st.sampled_from([None, None, 1, 1, 2])
references = st.sampled_from([None, None, "a"])
hold_seconds = st.sampled_from([60, 60, 120, 300])
extension_seconds = st.sampled_from([0, 30, 60, 60])
capacities_of_types = st.lists(st.integers(1, 4), min_size=1, max_size=2)


@st.composite
def timetables(draw: st.DrawFn) -> tuple[EventDetails, SalesWindow]:
    """Mostly times that fit together."""
    first, last = draw(st.integers(8, 20)), draw(st.integers(1, 20))
    title = draw(st.sampled_from(TITLES))
    details = EventDetails(title=title, starts_at=NOON + first * STEP, ends_at=NOON + (first + last) * STEP)
    opens_at = draw(st.sampled_from([None, None, NOON, NOON + 2 * STEP, NOON + 21 * STEP]))
    closes_at = draw(st.sampled_from([None, None, NOON + 9 * STEP, NOON + 6 * STEP]))
    return details, SalesWindow(sales_open_at=opens_at, sales_close_at=closes_at)


changes = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(TITLES),
        "city": st.sampled_from([None, "Ghent"]),
        "time_zone": st.sampled_from(["UTC", "Europe/Brussels"]),
        "starts_at": instants,
        "ends_at": instants,
        "sales_open_at": st.none() | instants,
        "sales_close_at": st.none() | instants,
        "max_per_buyer": st.integers(1, 4),
        "hold_seconds": hold_seconds,
        "hold_extension_seconds": extension_seconds,
    },
)
# How far back the edition lies that is named; None names none.
edition_offsets = st.sampled_from([None] * 6 + [0, 0, 0, 1, UNKNOWN])
no_changes: st.SearchStrategy[dict[str, Any]] = st.just({})
price_places, prices = st.sampled_from([0, 0, 0, 0, 1, 1, UNKNOWN]), st.sampled_from([0, 700, 900])
price_changes = st.dictionaries(price_places, prices, max_size=2)
type_names = st.sampled_from(["T1", "Gallery", "gallery", "Pit", "Box", "Row"])
capacity_changes = st.dictionaries(st.sampled_from([0, 0, 0, 1, 1, None, UNKNOWN]), st.integers(1, 5), max_size=2)
