"""`aged`: the hot event after 100,000 reservations against one that has just gone on sale."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from bench import rushes
from bench.comparison import Comparison, Goal, Measured
from bench.context import Bench
from bench.filling import filling

AGED, FRESH = "after 100,000", "just on sale"
RESERVATIONS, CONNECTIONS = 100_000, 64


def measure(bench: Bench) -> list[Comparison]:
    """Reservations a second."""
    aged_ids: list[UUID] = []

    def fill(database_url: str) -> None:
        """One event for each run and one to warm up, so that all are of the same age."""
        now = datetime.now(UTC)
        with filling(database_url) as filled:
            for _ in range(bench.repeats + 1):
                event = filled.open_event(now)
                aged_ids.append(event.id)
                for _ in range(bench.scaled(RESERVATIONS)):
                    filled.reserve(event, uuid4(), now)

    with rushes.opened(bench.testbed, fill=fill) as site:

        def aged(seconds: float) -> Measured:
            wish = {"event_id": str(aged_ids.pop()), "quantity": 1}
            site.post("/reservations", wish)  # loads it; `cold` tells how long that takes
            return rushes.rush(site, [wish], CONNECTIONS, seconds)

        def fresh(seconds: float) -> Measured:
            return rushes.rush(site, [{"event_id": site.open_event()["id"]}], CONNECTIONS, seconds)

        comparison = Comparison(
            "aged: one event after 100,000 reservations", "reservations/s", FRESH, [Goal(AGED, FRESH, 0.9)]
        )
        bench.warmed_in_turn(comparison, {AGED: aged, FRESH: fresh}, site.database_url)
        comparison.faults_of_history = site.faults()
    return [comparison]
