"""`pay`: payments at a steady pace while another event is being rushed."""

from datetime import UTC, datetime
from uuid import UUID

from bench import rushes
from bench.baselines import crud_rushes
from bench.comparison import Comparison, Measured
from bench.context import Bench, Run
from bench.filling import filling
from bench.load import Clients, request
from bench.testbed import Testbed

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

        def quiet(seconds: float) -> Measured:
            return payments(testbed, site.url, held(), None, seconds / 3)

        def rushed(seconds: float) -> Measured:
            return payments(testbed, site.url, held(), site.open_event()["id"], seconds)

        def theirs(seconds: float) -> Measured:
            return payments(testbed, crud.url, crud.held(count), str(crud.open_event()), seconds)

        comparison = Comparison("pay: 200 payments/s, 16 connections", "ms at p99, less is better", CRUD)
        runs: dict[str, Run] = {RUSHED: rushed, QUIET: quiet, CRUD: theirs}
        bench.warmed_in_turn(comparison, runs, site.database_url, crud.database_url)
        comparison.faults_of_history = site.faults()
    return [comparison]


def payments(testbed: Testbed, url: str, held: list[UUID], rushed_id: str | None, seconds: float) -> Measured:
    """Each reservation is paid once by its buyer, while others rush another event if there is one."""
    paid = [
        request("POST", url, f"/reservations/{reservation_id}/pay", token)
        for reservation_id, token in zip(held, testbed.tokens, strict=False)
    ]
    asked = rushes.wishes(url, testbed.tokens, [{"event_id": rushed_id}])

    def paying() -> Clients:
        return testbed.clients(url, paid, PAYING_CONNECTIONS, seconds, pace=PAYMENTS_PER_SECOND)

    def rushing() -> Clients:
        return testbed.clients(url, asked, RUSHING_CONNECTIONS, seconds + 1)

    begin = [paying] if rushed_id is None else [rushing, paying]
    loads, spent = rushes.loaded(testbed, url, *begin)
    load, reserved = loads[-1], loads[0].per_second if len(loads) > 1 else 0.0
    seen = {"p50_ms": load.p50_ms, "p999_ms": load.p999_ms, "paid_per_s": load.per_second, "reserved_per_s": reserved}
    return Measured(load.p99_ms, seen | {"errors": load.refused + load.broken} | spent, [])
