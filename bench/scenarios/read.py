"""`read`: one event, the first page of 10,000 events, and a buyer's own reservations."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Measure, Measured, in_turn
from bench.context import Bench
from bench.filling import filling
from bench.load import request
from bench.testbed import Testbed

OURS, CRUD = "tixxety", "CRUD"
EVENTS, BUYERS, RESERVATIONS, CONNECTIONS = 10_000, 500, 20, 64


def measure(bench: Bench) -> list[Comparison]:
    """Answers a second."""
    testbed = bench.testbed
    events, buyers = bench.scaled(EVENTS), testbed.buyers[: bench.scaled(BUYERS)]
    event_ids: list[UUID] = []

    def fill(database_url: str) -> None:
        now = datetime.now(UTC)
        with filling(database_url) as filled:
            opened = [filled.open_event(now + timedelta(seconds=n)) for n in range(events)]
            for buyer in buyers:
                for event in opened[: min(RESERVATIONS, events)]:
                    filled.reserve(event, buyer, now + timedelta(seconds=events))
        event_ids.append(opened[0].id)

    with rushes.opened(testbed, fill=fill) as site, crud_rushes.opened(testbed) as crud:
        with psycopg.connect(site.database_url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        theirs = crud.fill(events, buyers, min(RESERVATIONS, events))
        tokens = testbed.tokens[: len(buyers)]
        comparisons = []
        reads: list[tuple[str, str, str, Sequence[str | None]]] = [
            ("GET /events/{id}", f"/events/{event_ids[0]}", f"/events/{theirs}", [None]),
            ("GET /events, 10,000 of them", "/events", "/events", [None]),
            ("GET /reservations", "/reservations", "/reservations", tokens),
        ]
        for name, path, of_crud, seen_tokens in reads:
            variants = {
                OURS: reading(bench, testbed, site.url, path, seen_tokens),
                CRUD: reading(bench, testbed, crud.url, of_crud, seen_tokens),
            }
            comparison = Comparison(f"read: {name}, 64 connections", "answers/s", CRUD)
            comparisons.append(in_turn(comparison, variants, bench.repeats, bench.dice))
    return comparisons


def reading(bench: Bench, testbed: Testbed, url: str, path: str, tokens: Sequence[str | None]) -> Measure:
    """The same path again and again, by these accounts in turn."""

    def read() -> Measured:
        asked = [request("GET", url, path, token) for token in tokens]
        load = testbed.clients(url, asked, CONNECTIONS, bench.seconds / 2).load()
        seen = {"p50_ms": load.p50_ms, "p99_ms": load.p99_ms, "errors": load.refused + load.broken}
        return Measured(load.per_second, seen, [])

    return read
