"""`read`: one event, also known already, the first page of 10,000, a buyer's reservations, and one of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

import httpx2

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Goal, Measured
from bench.context import Bench
from bench.filling import filling
from bench.load import request
from bench.testbed import Testbed

OURS, KNOWN, CRUD = "tixxety", "tixxety, If-None-Match", "CRUD"
EVENTS, BUYERS, RESERVATIONS, CONNECTIONS = 10_000, 500, 20, 64
# Reading is even: less of it tells as much as of a rush.
SHARE_OF_SECONDS = 0.6


class Filled(NamedTuple):
    """One of the events, and for each buyer one of its reservations."""

    event_id: UUID
    held: dict[UUID, UUID]


def measure(bench: Bench) -> list[Comparison]:
    """Answers a second."""
    testbed = bench.testbed
    events, buyers = bench.scaled(EVENTS), testbed.buyers[: bench.scaled(BUYERS)]
    each = min(RESERVATIONS, events)
    filled: list[Filled] = []
    with (
        rushes.opened(testbed, fill=lambda url: filled.append(fill(url, events, buyers, each))) as site,
        crud_rushes.opened(testbed) as crud,
    ):
        ours = requests(testbed, site.url, filled[0])
        theirs = requests(testbed, crud.url, Filled(crud.fill(events, buyers, each), crud.one_of_each()))
        etag = httpx2.get(f"{site.url}/events/{filled[0].event_id}").raise_for_status().headers["ETag"]
        known = [request("GET", site.url, f"/events/{filled[0].event_id}", headers=[f"If-None-Match: {etag}"])]
        comparisons = []
        for what in ours:
            runs = {
                OURS: partial(read, testbed, site.url, ours[what]),
                CRUD: partial(read, testbed, crud.url, theirs[what]),
            }
            goals = [Goal(OURS, CRUD, 1.0)]
            if what == "GET /events/{id}":
                runs[KNOWN] = partial(read, testbed, site.url, known)
                goals = [Goal(OURS, CRUD, 4.0), Goal(KNOWN, CRUD, 5.0)]
            comparison = Comparison(f"read: {what}, 64 connections", "answers/s", CRUD, goals)
            databases, seconds = (site.database_url, crud.database_url), bench.seconds * SHARE_OF_SECONDS
            comparisons.append(bench.warmed_in_turn(comparison, runs, *databases, seconds=seconds))
    return comparisons


def fill(database_url: str, events: int, buyers: Sequence[UUID], each: int) -> Filled:
    """So many events, one a second, and reservations of the first ones: so many by each of these buyers."""
    now, held = datetime.now(UTC), {}
    with filling(database_url) as history:
        opened = [history.open_event(now + timedelta(seconds=n)) for n in range(events)]
        for buyer in buyers:
            for event in opened[:each]:
                held[buyer] = history.reserve(event, buyer, now + timedelta(seconds=events))
    return Filled(opened[0].id, held)


def requests(testbed: Testbed, url: str, filled: Filled) -> Mapping[str, list[bytes]]:
    """What is read, by the name of the comparison; reservations by their buyers in turn."""
    tokens = dict(zip(testbed.buyers, testbed.tokens, strict=True))
    return {
        "GET /events/{id}": [request("GET", url, f"/events/{filled.event_id}")],
        "GET /events": [request("GET", url, "/events")],
        "GET /reservations": [request("GET", url, "/reservations", tokens[buyer]) for buyer in filled.held],
        "GET /reservations/{id}": [
            request("GET", url, f"/reservations/{reservation_id}", tokens[buyer])
            for buyer, reservation_id in filled.held.items()
        ],
    }


def read(testbed: Testbed, url: str, asked: Sequence[bytes], seconds: float) -> Measured:
    """The same requests again and again."""
    (load,), spent = rushes.loaded(testbed, url, lambda: testbed.clients(url, asked, CONNECTIONS, seconds))
    seen = {"p50_ms": load.p50_ms, "p99_ms": load.p99_ms, "errors": load.refused + load.broken}
    return Measured(load.per_second, seen | spent, [])
