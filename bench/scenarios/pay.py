"""`pay`: payments at a steady pace while another event is being rushed."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Measured, in_turn
from bench.context import Bench
from bench.filling import filling
from bench.load import Clients, request

RUSHED, QUIET, CRUD = "tixxety, during a rush", "tixxety, quiet", "CRUD, during a rush"
PAYMENTS_PER_SECOND, PAYING_CONNECTIONS, RUSHING_CONNECTIONS = 200, 16, 64


def measure(bench: Bench) -> list[Comparison]:
    """The slowest hundredth of payments, in milliseconds."""
    testbed = bench.testbed
    count = round(PAYMENTS_PER_SECOND * (bench.seconds + 1))
    with rushes.opened(testbed) as site, crud_rushes.opened(testbed) as crud:

        def held() -> list[UUID]:
            now = datetime.now(UTC)
            with filling(site.database_url) as filled:
                event = filled.open_event(now)
                return [filled.reserve(event, buyer, now) for buyer in testbed.buyers[:count]]

        def quiet() -> Measured:
            return payments(bench, site.url, held(), None, bench.seconds / 3)

        def rushed() -> Measured:
            wish = {"event_id": site.open_event()["id"]}
            return payments(bench, site.url, held(), lambda: rushing(bench, site.url, wish))

        def theirs() -> Measured:
            wish = {"event_id": str(crud.open_event())}
            return payments(bench, crud.url, crud.held(count), lambda: rushing(bench, crud.url, wish))

        # The processes' first commands are slow, and would be the slowest hundredth of whichever is measured first.
        payments(bench, site.url, held(), None, bench.warm_seconds)
        payments(bench, crud.url, crud.held(count), None, bench.warm_seconds)
        comparison = Comparison("pay: 200 payments/s, 16 connections", "ms at p99, less is better", CRUD)
        in_turn(comparison, {RUSHED: rushed, QUIET: quiet, CRUD: theirs}, bench.repeats, bench.dice)
        comparison.faults_of_history = site.faults()
    return [comparison]


def rushing(bench: Bench, url: str, wish: dict[str, str]) -> Clients:
    """Clients that reserve meanwhile."""
    asked = rushes.wishes(url, bench.testbed.tokens, [wish])
    return bench.testbed.clients(url, asked, RUSHING_CONNECTIONS, bench.seconds + 1)


def payments(
    bench: Bench, url: str, held: list[UUID], rush: Callable[[], Clients] | None, seconds: float | None = None
) -> Measured:
    """Each reservation is paid once by its buyer, perhaps while others rush."""
    paid = [
        request("POST", url, f"/reservations/{reservation_id}/pay", token)
        for reservation_id, token in zip(held, bench.testbed.tokens, strict=False)
    ]
    meanwhile = rush() if rush is not None else None
    load = bench.testbed.clients(
        url, paid, PAYING_CONNECTIONS, seconds or bench.seconds, pace=PAYMENTS_PER_SECOND
    ).load()
    reserved = meanwhile.load().per_second if meanwhile is not None else 0.0
    seen = {"p50_ms": load.p50_ms, "paid_per_s": load.per_second, "reserved_per_s": reserved}
    return Measured(load.p99_ms, seen | {"errors": load.refused + load.broken}, [])
